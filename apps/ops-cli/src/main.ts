import { Api } from './api.js';
import type { Context } from './command.js';
import { understood, type Typed } from './command-line.js';
import { commands } from './commands/index.js';
import { cliConfig } from './config.js';
import { exitCodes, Failure } from './failure.js';
import { helpText } from './help.js';
import { type Answer, harmless, lineText, render } from './output.js';
import { type Target, targetOf } from './target.js';

/**
 * The `posthaste` command: one call of the REST API or a few, and what came of it.
 *
 *   understood -> carried out -> shown -> ended with an exit code
 *
 * The answer goes to standard output: aligned text on a terminal, one line of JSON elsewhere. What else there is to say
 * (errors, notes, progress) goes to standard error, so that a pipe gets data and nothing else. It changes nothing but
 * what a command of that name says, and a stack trace is never what a person gets to see.
 */
const config = cliConfig();
const args = process.argv.slice(2);
const hasTerminal = process.stdout.isTTY;
const mayPaint = config.NO_COLOR === undefined && config.TERM !== 'dumb';

// `posthaste ... | head` ends us early, as it should.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

let isJson = !hasTerminal;
// A person may watch what a pipe does not carry.
let isErrorJson = !process.stderr.isTTY && !hasTerminal;
try {
  const typed = understood(args, commands);
  isJson = typed.output === 'json' || (typed.output === 'by terminal' && !hasTerminal);
  if (typed.output !== 'by terminal') isErrorJson = isJson;
  process.exitCode = await carryOut(typed);
} catch (error) {
  isErrorJson ||= args.includes('--json');
  process.exitCode = explain(error instanceof Failure ? error : unexpected(error));
}

async function carryOut({ invocation }: Typed): Promise<number> {
  if (invocation.kind === 'help') {
    process.stdout.write(helpText(invocation.about, commands));
    return exitCodes.ok;
  }
  const { command, given, profile } = invocation;
  let target: Target | undefined;
  const theTarget = (): Target => (target ??= targetOf(config, profile));
  const context: Context = {
    target: theTarget,
    api: () => new Api(theTarget()),
    nowMs: () => Date.now(),
    progress: (line) => {
      if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
    },
    interrupted: () => {
      const pressed = new AbortController();
      process.once('SIGINT', () => pressed.abort());
      return pressed.signal;
    },
  };
  const answer = await command.run(given, context);
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  await show(answer);
  return answer.kind === 'data' && answer.isBad === true ? exitCodes.failed : exitCodes.ok;
}

async function show(answer: Answer): Promise<void> {
  switch (answer.kind) {
    case 'bytes':
      // A pipe gets them as they are; on a terminal they could be commands to it.
      process.stdout.write(hasTerminal ? `${harmless(answer.bytes.toString(), '\n\t')}\n` : answer.bytes);
      return;
    case 'text':
      process.stdout.write(answer.text);
      return;
    case 'lines': {
      const { titles, widths, lines } = answer;
      const style = { hasColour: hasTerminal && mayPaint };
      if (!isJson) process.stdout.write(lineText(titles, widths, style));
      for await (const { json, cells } of lines) {
        process.stdout.write(isJson ? `${JSON.stringify(json)}\n` : lineText(cells, widths, style));
      }
      return;
    }
    case 'data':
      if (isJson) {
        process.stdout.write(`${JSON.stringify(answer.json, null, hasTerminal ? 2 : undefined)}\n`);
        return;
      }
      process.stdout.write(render(answer.blocks, { hasColour: hasTerminal && mayPaint }));
      if (answer.note !== undefined) process.stderr.write(`${answer.note}\n`);
  }
}

function explain({ kind, message, more }: Failure): number {
  const exit = exitCodes[kind];
  const { hint, code, errors = [] } = more;
  if (isErrorJson) {
    const error = {
      kind,
      exit,
      message,
      ...(code === undefined ? {} : { code }),
      errors,
      hint: hint ?? null,
    };
    process.stderr.write(`${JSON.stringify({ error })}\n`);
    return exit;
  }
  const paint = (text: string): string =>
    process.stderr.isTTY && mayPaint ? `\u001b[31m${text}\u001b[39m` : text;
  const fields = errors.map(({ pointer, message: why }) => `  ${harmless(pointer)}: ${harmless(why)}\n`);
  const advice = hint === undefined ? '' : `  → ${harmless(hint)}\n`;
  process.stderr.write(`${paint('posthaste:')} ${harmless(message)}\n${fields.join('')}${advice}`);
  return exit;
}

/** A mistake of ours, or a machine in trouble: the sentence must do. */
function unexpected(error: unknown): Failure {
  return new Failure('failed', error instanceof Error ? error.message : String(error));
}
