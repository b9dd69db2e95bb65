import { type Command, globalOptions, options } from './command.js';
import { exitCodes, exitMeanings } from './failure.js';

const exits = Object.entries(exitCodes)
  .map(([kind, code]) => `  ${code}  ${exitMeanings[kind as keyof typeof exitMeanings]}`)
  .join('\n');

/** All commands, or all there is to say about a few. */
export function helpText(about: Command[], all: Command[]): string {
  return about.length === all.length ? overview(all) : about.map(helpOf).join('\n');
}

function overview(all: Command[]): string {
  return `posthaste <command> [options]     looks into a Posthaste installation, and changes what is asked

${aligned(all.map((command) => [usage(command), command.says]))}

Everywhere:
${aligned(Object.entries(globalOptions).map(([name, option]) => [shown(name, option), option.says]))}

Which installation: --profile or POSTHASTE_PROFILE, of ~/.config/posthaste/profiles.json; else POSTHASTE_URL and
POSTHASTE_KEY; else what npm start runs in this folder (.posthaste/dev.json); else the default profile.

Exit codes:
${exits}

posthaste <command> --help says more.
`;
}

function helpOf(command: Command): string {
  const rows = [...command.options].map((name): [string, string] => [
    shown(name, options[name]),
    options[name].says,
  ]);
  const own = rows.length === 0 ? '' : `\n${aligned(rows)}\n`;
  return `posthaste ${usage(command)}${rows.length === 0 ? '' : ' [options]'}\n  ${command.says}\n${own}`;
}

const usage = ({ name, takes }: Command): string => (takes === undefined ? name : `${name} ${takes.words}`);

function shown(name: string, { value }: { value: string | null }): string {
  return value === null ? `--${name}` : `--${name} <${value}>`;
}

function aligned(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}
