// npm run bench: installs what is missing, builds the services and measures them (-- --help says what there is).
import { spawn } from 'node:child_process';
import path from 'node:path';
import { checkNode, installIfNeeded, node24 } from './install.mjs';
import { step } from './progress.mjs';
import { endRunning, onEnd, PlainError, root, run } from './run.mjs';

// Of one service's statements only: these need no stack, and read the service's sources.
const FIGURES = {
  'history-lists': 'apps/audit-log/src/proving/list-figures.main.ts',
  'due-index': 'apps/retry-scheduler/src/proving/due-figures.main.ts',
};
const [, figures] = Object.entries(FIGURES).find(([name]) => process.argv.includes(name)) ?? [];
const fromSources = [
  '--experimental-transform-types',
  '--disable-warning=ExperimentalWarning',
  ...['--import', path.join(root, 'tools/typescript-sources.mjs')],
];
const APPS = ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log', 'bench'];

// Until the benchmark itself runs and takes its signals.
let bench;
onEnd((signal) => {
  if (bench !== undefined) {
    bench.kill(signal);
    return;
  }
  endRunning(signal);
  process.exit(130);
});

try {
  checkNode();
  await installIfNeeded();
  if (figures === undefined) {
    await step('building the services', async () => {
      for (const app of APPS) await run(node24(), [path.join(root, 'tools/build.mjs'), app]);
    });
  }
  const program =
    figures === undefined
      ? [path.join(root, 'dist/apps/bench/main.js')]
      : [...fromSources, path.join(root, figures)];
  // In a session of its own: Ctrl-C reaches every process of the terminal's group, and the stack is stopped in order.
  bench = spawn(node24(), [...program, ...process.argv.slice(2)], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  bench.once('exit', (code, signal) => process.exit(signal === null ? code : 1));
} catch (error) {
  console.error(`  ✗ ${error instanceof PlainError ? error.message : error.stack}`);
  process.exit(1);
}
