import path from 'node:path';
import {
  type LocalKafka,
  LocalStackError,
  type ProcessChange,
  type Stack,
  startKafka,
  startStack,
} from '@posthaste/local-stack';
import type { StandaloneOptions } from './config.js';
import { claimDataFolder } from './data-folder.js';
import { type Demo, prepareDemo } from './demo.js';
import { removeDevFile, writeDevFile } from './dev-file.js';
import { assertOwnServersAnswer } from './own-servers.js';
import { panel } from './panel.js';
import { Progress } from './progress.js';

/**
 * `npm start`: the whole of Posthaste on this machine, with a demo in it, until Ctrl-C.
 *
 *   starting -> running -> stopping -> ended
 *
 * starting: a signal ends it at once; what was started notices and ends itself. running: what dies is started again.
 * stopping: everything is given 20 s to finish what it has in hand; a second signal kills it. Exit code 0 after a
 * signal while running, 1 when the start failed, in which case one line says why and the next what to do.
 */
export async function runStandalone(options: StandaloneOptions): Promise<void> {
  const startedAt = Date.now();
  const progress = new Progress(process.stdout);
  const running: { stack?: Stack; kafka?: LocalKafka; demo?: Demo } = {};
  let release = (): void => undefined;
  process.on('exit', () => release());
  endOnSignals(options, running);
  try {
    ({ release } = claimDataFolder(options.dataDir));
    removeDevFile(options.dataDir);
    await assertOwnServersAnswer(options.config.DATABASE_URL, options.brokers);
    if (options.startsKafka) {
      progress.begin('Kafka');
      running.kafka = await startKafka({
        dataDir: path.join(options.dataDir, 'kafka'),
        log: (line) => progress.note(`    ${line}`),
      });
    }
    running.stack = await startStack({
      dataDir: options.dataDir,
      distDir: path.resolve(import.meta.dirname, '../..'),
      log: options.config.POSTHASTE_LOG,
      brokers: running.kafka?.bootstrap ?? options.brokers,
      ...(options.config.DATABASE_URL === undefined ? {} : { databaseUrl: options.config.DATABASE_URL }),
      ports: options.ports,
      env: options.env,
      egressAllow: options.config.POSTHASTE_EGRESS_ALLOW,
      onProgress: (step) => progress.begin(step),
      onProcessChange: (name, change) => reportChange(running, progress, name, change),
    });
    progress.begin('the demo');
    const { demo, delivery } = await prepareDemo(running.stack, options.publishes);
    running.demo = demo;
    writeDevFile(running.stack, demo);
    progress.end();
    console.log(panel(running.stack, demo, delivery, (Date.now() - startedAt) / 1000));
  } catch (error) {
    progress.fail();
    explain(error, options.dataDir);
    await running.stack?.stop();
    await running.kafka?.stop();
    process.exit(1);
  }
}

/** A Ctrl-C may come twice, from the terminal and through npm; only a later one is a second wish. */
const SAME_SIGNAL_MS = 800;

function endOnSignals(options: StandaloneOptions, running: { stack?: Stack; kafka?: LocalKafka }): void {
  let stoppingSince: number | undefined;
  const end = (): void => {
    const { stack, kafka } = running;
    if (stoppingSince !== undefined) {
      if (Date.now() - stoppingSince < SAME_SIGNAL_MS) return;
      for (const [name, pid] of Object.entries(stack?.processes ?? {})) {
        // PostgreSQL is stopped in its fast way as this process exits: it takes milliseconds.
        if (name !== 'postgres') process.kill(pid, 'SIGKILL');
      }
      process.exit(130);
    }
    stoppingSince = Date.now();
    removeDevFile(options.dataDir);
    if (stack === undefined) process.exit(130);
    console.log('\nStopping. Press Ctrl-C again to kill what is left.');
    void stack
      .stop()
      .then(() => kafka?.stop())
      .catch((error: unknown) => explain(error, options.dataDir))
      .finally(() => process.exit(0));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  if (options.config.POSTHASTE_SUPERVISED === '1') process.stdin.on('close', end).resume();
}

function reportChange(
  running: { stack?: Stack; demo?: Demo },
  progress: Progress,
  name: string,
  change: ProcessChange,
): void {
  if (change.kind === 'ended' && !change.wanted) return;
  // While it starts, what goes wrong is in the error that start ends with, or did not matter.
  if (running.stack === undefined || running.demo === undefined) return;
  if (change.kind === 'ended') progress.note(`${name} ended (${change.how}); starting it again.`);
  writeDevFile(running.stack, running.demo);
}

function explain(error: unknown, dataDir: string): void {
  if (!(error instanceof LocalStackError)) {
    console.error(`  ✗ ${error instanceof Error ? error.message : String(error)}`);
    console.error(`    → the services' logs are in ${path.join(dataDir, 'logs')}`);
    return;
  }
  console.error(`  ✗ ${error.message}`);
  const ownServer = error.code === 'no_binaries' ? ': DATABASE_URL=postgres://... npm start' : '';
  console.error(`    → ${error.hint}${ownServer}`);
}
