// npm run bench: installs what is missing, builds the services and measures them (-- --help says what there is).
import { spawn } from 'node:child_process';
import path from 'node:path';
import { checkNode, installIfNeeded, node24 } from './install.mjs';
import { step } from './progress.mjs';
import { endRunning, onEnd, PlainError, root, run } from './run.mjs';

// Of one service's statements only: it needs no stack, and reads the service's sources.
const LIST_FIGURES = [
  '--experimental-transform-types',
  '--disable-warning=ExperimentalWarning',
  ...['--import', path.join(root, 'tools/typescript-sources.mjs')],
  path.join(root, 'apps/audit-log/src/proving/list-figures.main.ts'),
];
const isOfLists = process.argv.includes('history-lists');
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
  if (!isOfLists) {
    await step('building the services', async () => {
      for (const app of APPS) await run(node24(), [path.join(root, 'tools/build.mjs'), app]);
    });
  }
  const program = isOfLists ? LIST_FIGURES : [path.join(root, 'dist/apps/bench/main.js')];
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
