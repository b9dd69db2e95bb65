import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type LogKind, startBenchStack } from './bench-stack.js';
import { profileOf, topSelfTimes } from './cpu-profile.js';
import { profileTable, tableOf } from './report.js';
import { calibrate, type RunResult, runScenario, type Workers } from './run-scenario.js';
import { scenarioNames, type ScenarioName, scenarioOf } from './scenarios.js';
import { WorkerProcess } from './worker-process.js';

const HELP = `npm run bench -- [options]
  --scenario throughput|latency|all   (all)
  --log postgres|kafka|both           (postgres)
  --count n, --warm-up n              smaller or larger runs
  --profile                           CPU profile of every service, the 15 costliest functions of each
  --json file                         the results, for machines`;
const TOP_FUNCTIONS = 15;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: 'all' },
    log: { type: 'string', default: 'postgres' },
    count: { type: 'string' },
    'warm-up': { type: 'string' },
    profile: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const scenarios =
  values.scenario === 'all' ? [...scenarioNames] : scenarioNames.filter((name) => name === values.scenario);
const logs = (['postgres', 'kafka'] as const).filter((log) => values.log === log || values.log === 'both');
const sizes = {
  ...(values.count === undefined ? {} : { count: Number(values.count) }),
  ...(values['warm-up'] === undefined ? {} : { warmUp: Number(values['warm-up']) }),
};
if (values.help || scenarios.length === 0 || logs.length === 0) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}

const results: RunResult[] = [];
const show = (result: RunResult): void => {
  results.push(result);
  console.log(`${tableOf(result)}\n`);
};
show(await withWorkers((workers, url) => calibrate(scenarioOf('throughput', sizes), workers, url)));
for (const log of logs) {
  for (const scenario of scenarios) show(await measure(scenario, log));
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
process.exit(results.every(({ lost }) => lost === 0) ? 0 : 1);

/** One scenario on a stack of its own: nothing of an earlier run is in its tables, its caches or its log. */
async function measure(name: ScenarioName, log: LogKind): Promise<RunResult> {
  const profileDir = values.profile
    ? mkdtempSync(path.join(os.tmpdir(), `posthaste-profile-${name}-`))
    : undefined;
  return withWorkers(async (workers, receiverUrl) => {
    const stack = await startBenchStack({
      log,
      receiverUrl,
      distDir: path.resolve(import.meta.dirname, '../..'),
      ...(profileDir === undefined ? {} : { profileDir }),
    });
    const pids = stack.pids();
    try {
      return await runScenario(scenarioOf(name, sizes), workers, stack, log);
    } finally {
      await stack.stop();
      if (profileDir !== undefined) printProfiles(profileDir, pids);
    }
  });
}

async function withWorkers<T>(use: (workers: Workers, receiverUrl: string) => Promise<T>): Promise<T> {
  const workers = { generator: WorkerProcess.start('generator'), receiver: WorkerProcess.start('receiver') };
  try {
    return await use(workers, await workers.receiver.ask<string>({ kind: 'listen' }));
  } finally {
    workers.generator.stop();
    workers.receiver.stop();
  }
}

function printProfiles(folder: string, pids: Record<string, number>): void {
  console.log(`CPU profiles are in ${folder}`);
  for (const [service, pid] of Object.entries(pids)) {
    const profile = profileOf(folder, pid);
    if (profile !== undefined)
      console.log(`${profileTable(service, topSelfTimes(profile, TOP_FUNCTIONS))}\n`);
  }
}
