import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  type Bench,
  type BenchStack,
  type LogKind,
  type StackShape,
  startBenchStack,
} from './product/bench-stack.js';
import { capacityPage } from './results/capacity.js';
import { comparisonOf } from './results/compare.js';
import { profileOf, topSelfTimes } from './product/cpu-profile.js';
import { type BenchDocument, documentOf, type Measurement } from './results/measurement.js';
import { HELP, type Options, readOptions } from './options.js';
import { profileTable, summaryOf, tableOf } from './results/report.js';
import { runScenario } from './scenarios/run-scenario.js';
import { stacksFor } from './scenarios/scenarios.js';
import { calibrate } from './scenarios/run-speed.js';
import { withWorkers } from './traffic/worker-process.js';

/**
 * Measures the product on fresh stacks: each scenario shows its runs as they end, then all of them come in one table.
 * It ends with 1 when a run lost a message that was acknowledged, with 2 when it was asked for something else.
 */
const TOP_FUNCTIONS = 15;
/** The stack that runs or starts: whoever interrupts the benchmark waits until it has been taken down. */
let running: Promise<BenchStack> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    const stopped = Promise.resolve(running).then((stack) => stack?.stop());
    void stopped.finally(() => process.exit(130));
  });
}

const options = readOptions(process.argv.slice(2));
if (options === 'help') {
  console.log(HELP);
  process.exit(0);
}
if ('wrong' in options) {
  console.error(`${options.wrong}\n\n${HELP}`);
  process.exit(2);
}
// Read before anything runs: a wrong name is told at once.
const old = options.compare === undefined ? undefined : readDocument(options.compare);
const taken =
  options.from === undefined ? documentOf(await takeAll(options), options.scale) : readDocument(options.from);
console.log(summaryOf(taken.results));
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(taken, null, 2)}\n`);
if (old !== undefined) console.log(`\n${comparisonOf(old, taken)}`);
if (options.capacity !== undefined) writeFileSync(options.capacity, capacityPage(taken));
process.exit(taken.results.every(({ lost }) => lost === 0) ? 0 : 1);

async function takeAll({ scenarios, logs, sizes, oneStack, profile }: Options): Promise<Measurement[]> {
  const results: Measurement[] = [];
  const show = (measured: Measurement): void => {
    results.push(measured);
    console.log(`${tableOf(measured)}\n`);
  };
  await withWorkers((workers) => calibrate(workers, sizes, show));
  for (const log of logs) {
    for (const some of oneStack ? [scenarios] : scenarios.map((name) => [name])) {
      for (const shape of stacksFor(some)) {
        await onStack({ name: some.join('-'), log, shape, profile }, async (bench) => {
          for (const name of some) await runScenario(name, bench, sizes, show);
        });
      }
    }
  }
  return results;
}

/** Each scenario on a stack of its own: nothing of an earlier one is in its tables, its caches or its log. */
async function onStack(
  { name, log, shape, profile }: { name: string; log: LogKind; shape: StackShape; profile: boolean },
  measure: (bench: Bench) => Promise<void>,
): Promise<void> {
  const profileDir = profile ? mkdtempSync(path.join(os.tmpdir(), `posthaste-profile-${name}-`)) : undefined;
  await withWorkers(async (workers) => {
    running = startBenchStack({
      log,
      shape,
      distDir: path.resolve(import.meta.dirname, '../..'),
      ...(profileDir === undefined ? {} : { profileDir }),
    });
    const stack = await running;
    const pids = stack.pids();
    try {
      await measure({ workers, stack });
    } finally {
      await stack.stop();
      running = undefined;
      if (profileDir !== undefined) printProfiles(profileDir, pids);
    }
  });
}

function printProfiles(folder: string, pids: Record<string, number>): void {
  console.log(`CPU profiles are in ${folder}`);
  for (const [service, pid] of Object.entries(pids)) {
    const profile = profileOf(folder, pid);
    if (profile !== undefined)
      console.log(`${profileTable(service, topSelfTimes(profile, TOP_FUNCTIONS))}\n`);
  }
}

function readDocument(file: string): BenchDocument {
  const document = JSON.parse(readFileSync(file, 'utf8')) as BenchDocument;
  if (document.format === 1) return document;
  console.error(`${file} was not written by this version of the benchmark`);
  process.exit(2);
}
