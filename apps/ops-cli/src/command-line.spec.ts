import { describe, expect, it } from '@jest/globals';
import { understood } from './command-line.js';
import { commands } from './commands/index.js';
import { Failure } from './failure.js';
import { helpText } from './help.js';

const typed = (line: string) => understood(line === '' ? [] : line.split(' '), commands);
const invoked = (line: string) => {
  const { invocation } = typed(line);
  if (invocation.kind === 'help') throw new Error('this asks for help');
  return invocation;
};

function refusalOf(line: string): Failure {
  try {
    typed(line);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error(`${line} was understood`);
}

describe('what is typed', () => {
  it('is a command of one word or two, its arguments and options, in any order', () => {
    expect(invoked('deliveries cancel dlv_1 dlv_2 --dry-run')).toMatchObject({
      command: { name: 'deliveries cancel' },
      given: { words: ['dlv_1', 'dlv_2'], dryRun: true, yes: false },
    });
    expect(invoked('--profile prod attempts dlv_1 --limit=5')).toMatchObject({
      command: { name: 'attempts' },
      given: { words: ['dlv_1'], options: { limit: '5' } },
      profile: 'prod',
    });
  });

  it('says itself how the answer is to look', () => {
    expect(['status', 'status --json', 'status --table'].map((line) => typed(line).output)).toEqual([
      'by terminal',
      'json',
      'table',
    ]);
  });

  it.each([
    ['statsu', 'there is no command statsu'],
    ['deliveries', 'deliveries what?'],
    ['deliveries resurrect', 'there is no command deliveries resurrect'],
    ['status now', 'status has no use for now'],
    ['attempts', 'attempts needs <delivery>'],
    ['status --limit 5', 'status takes no --limit'],
    ['accounts --frob', "Unknown option '--frob'"],
    ['accounts --limit', "Option '--limit <value>' argument missing"],
    ['accounts --limit=', 'an argument of accounts is empty'],
    ['accounts --json --table', '--json and --table cannot be used together'],
  ])('is refused as usage when it is `%s`', (line, message) => {
    const refusal = refusalOf(line);
    expect([refusal.kind, refusal.message]).toEqual(['usage', message]);
  });

  it('is a wish for help: of everything, of a group, of one', () => {
    const about = (line: string): string[] => {
      const { invocation } = typed(line);
      return invocation.kind === 'help' ? invocation.about.map(({ name }) => name) : [];
    };
    expect(about('')).toHaveLength(commands.length);
    expect(about('help')).toHaveLength(commands.length);
    expect(about('messages --help')).toEqual(['messages list', 'messages show', 'messages payload']);
    expect(about('deliveries cancel --help')).toEqual(['deliveries cancel']);
  });
});

describe('the help', () => {
  it('names every command, and every exit code', () => {
    const text = helpText(commands, commands);
    for (const { name } of commands) expect(text).toContain(`\n  ${name} `);
    expect(text.match(/^ {2}[0-5] {2}/gm)).toHaveLength(6);
  });

  it('of a command names its options', () => {
    const [command] = commands.filter(({ name }) => name === 'deliveries list');
    const text = helpText(command ? [command] : [], commands);
    for (const name of command?.options ?? []) expect(text).toContain(`--${name} `);
  });
});
