import { parseArgs } from 'node:util';
import { type Command, type Given, globalOptions, type OptionName, options } from './command.js';
import { Failure } from './failure.js';

/** What was typed, understood. */
export type Invocation =
  | { kind: 'help'; about: Command[] }
  | { kind: 'command'; command: Command; given: Given; profile: string | undefined };

export interface Typed {
  invocation: Invocation;
  output: 'json' | 'table' | 'by terminal';
}

const everyOption = { ...options, ...globalOptions };
const parseable = Object.fromEntries(
  Object.entries(everyOption).map(([name, { value }]) => [
    name,
    { type: value === null ? ('boolean' as const) : ('string' as const) },
  ]),
);
const isGlobal = (name: string): boolean => Object.hasOwn(globalOptions, name);

export function understood(args: string[], commands: Command[]): Typed {
  const { values, positionals } = parsed(args);
  if (values['json'] === true && values['table'] === true) {
    throw new Failure('usage', '--json and --table cannot be used together');
  }
  const output = values['json'] === true ? 'json' : values['table'] === true ? 'table' : 'by terminal';
  const words = positionals[0] === 'help' ? positionals.slice(1) : positionals;
  const isHelp = values['help'] === true || positionals[0] === 'help' || positionals.length === 0;
  if (isHelp) return { invocation: { kind: 'help', about: aboutOf(words, commands) }, output };
  const command = commandOf(words, commands);
  const given = givenTo(command, words.slice(command.name.split(' ').length), values);
  const profile = values['profile'] as string | undefined;
  return { invocation: { kind: 'command', command, given, profile }, output };
}

type Values = Record<string, string | boolean | undefined>;

function parsed(args: string[]): { values: Values; positionals: string[] } {
  try {
    return parseArgs({ args, options: parseable, allowPositionals: true, strict: true });
  } catch (error) {
    // Node's own words name the option; what follows the first sentence is about positionals.
    const [sentence = ''] = (error as Error).message.split('. ');
    throw new Failure('usage', sentence.replace(/\n.*/s, ''), {
      hint: 'posthaste --help lists what there is',
    });
  }
}

function commandOf(words: string[], commands: Command[]): Command {
  const found = commands.find(({ name }) => name === words.slice(0, name.split(' ').length).join(' '));
  if (found) return found;
  const [first = '', second] = words;
  const siblings = commands.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  if (siblings.length > 0) {
    const says = second === undefined ? `${first} what?` : `there is no command ${first} ${second}`;
    throw new Failure('usage', says, { hint: `there are: ${siblings.join(', ')}` });
  }
  throw new Failure('usage', `there is no command ${first}`, { hint: 'posthaste --help lists them' });
}

function givenTo(command: Command, words: string[], values: Values): Given {
  const { name, takes = { words: '', least: 0, most: 0 } } = command;
  if (words.length < takes.least)
    throw new Failure('usage', `${name} needs ${takes.words}`, usageOf(command));
  if (words.length > takes.most) {
    throw new Failure('usage', `${name} has no use for ${words[takes.most]}`, usageOf(command));
  }
  const foreign = Object.keys(values).find(
    (option) => !isGlobal(option) && !command.options.includes(option as OptionName),
  );
  if (foreign !== undefined) throw new Failure('usage', `${name} takes no --${foreign}`, usageOf(command));
  const texts = Object.entries(values).filter(
    ([option, value]) => !isGlobal(option) && typeof value === 'string',
  );
  const empty = [...texts.map(([, text]) => text), ...words].includes('');
  if (empty) throw new Failure('usage', `an argument of ${name} is empty`, usageOf(command));
  return {
    words,
    options: Object.fromEntries(texts),
    dryRun: values['dry-run'] === true,
    yes: values['yes'] === true,
  };
}

const usageOf = ({ name }: Command): { hint: string } => ({ hint: `posthaste ${name} --help` });

function aboutOf(words: string[], commands: Command[]): Command[] {
  if (words.length === 0) return commands;
  const group = commands.filter(({ name }) => name.startsWith(`${words[0]} `));
  return words.length === 1 && group.length > 0 ? group : [commandOf(words, commands)];
}
