import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** Runs one of our TypeScript files as it is, in a process of its own that a test may kill. */
export function forkSource(file: string, args: string[]): ChildProcess {
  return fork(file, args, {
    execArgv: [
      '--experimental-transform-types',
      '--disable-warning=ExperimentalWarning',
      '--import',
      path.join(import.meta.dirname, '../../../tools/typescript-sources.mjs'),
    ],
  });
}

/** The signal that ended it, or the code it ended with. */
export async function endOf(child: ChildProcess): Promise<unknown> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return signal ?? code;
}
