import { type Command, globalOptions } from '../command.js';
import { Failure } from '../failure.js';

const shells = ['bash', 'zsh'];

/** Words and options only: what is on the server is not asked for at every press of a key. */
export function completion(others: Command[]): Command {
  const own: Command = {
    name: 'completion',
    says: `print what makes a shell complete commands: ${shells.join(' or ')}`,
    takes: { words: '<shell>', least: 1, most: 1 },
    options: [],
    run: async ({ words: [shell = ''] }) => {
      if (!shells.includes(shell)) {
        throw new Failure('usage', `there is no completion for ${shell}`, {
          hint: `there is for: ${shells.join(', ')}`,
        });
      }
      return { kind: 'text', text: script(shell, [...others, own]) };
    },
  };
  return own;
}

function script(shell: string, commands: Command[]): string {
  const firstWords = [...new Set(commands.map(({ name }) => name.split(' ')[0] ?? ''))];
  const cases = firstWords.map((first) => {
    const own = commands.filter(({ name }) => name === first || name.startsWith(`${first} `));
    const seconds = own.flatMap(({ name }) => name.split(' ').slice(1));
    const extra = first === 'config' ? ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log'] : [];
    const options = [...new Set(own.flatMap(({ options }) => options))].map((name) => `--${name}`);
    const more = first === 'completion' ? shells : extra;
    return `    ${first}) words="${[...seconds, ...more, ...options].join(' ')}" ;;`;
  });
  const everywhere = Object.keys(globalOptions).map((name) => `--${name}`);
  const lines = [
    // zsh reads what is written for bash.
    ...(shell === 'zsh' ? ['autoload -Uz bashcompinit && bashcompinit'] : []),
    '_posthaste() {',
    '  local words',
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    `    *) words="${firstWords.join(' ')}" ;;`,
    '  esac',
    `  [ "$COMP_CWORD" -eq 1 ] && words="${firstWords.join(' ')}"`,
    `  COMPREPLY=($(compgen -W "$words ${everywhere.join(' ')}" -- "\${COMP_WORDS[COMP_CWORD]}"))`,
    '}',
    'complete -F _posthaste posthaste',
  ];
  return `${lines.join('\n')}\n`;
}
