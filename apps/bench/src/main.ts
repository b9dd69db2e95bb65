import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Bench, type LogKind, startBenchStack } from './bench-stack.js';
import { profileOf, topSelfTimes } from './cpu-profile.js';
import { faultScenarioNames, faultScenarioOf } from './fault-scenarios.js';
import { faultTableOf, profileTable, tableOf } from './report.js';
import { type FaultResult, runFaults } from './run-faults.js';
import { calibrate, type RunResult, runScenario } from './run-scenario.js';
import { scenarioNames, scenarioOf } from './scenarios.js';
import { WorkerProcess, type Workers } from './worker-process.js';

const HELP = `npm run bench -- [options]
  --scenario name                     (all)
      throughput, latency             one account, one endpoint that answers at once; \`all\` is these two
      isolation                       ten accounts at 300/s, the tenth's endpoint hangs, drips, fails late, refuses
      dead-host                       1,000 endpoints on one dead host at 200/s, beside nine healthy accounts at 100/s
      recovery                        an endpoint at 200/s is down for two minutes, beside the same nine
                                      these take 3 to 7 minutes each, so they are run by name
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
const speedScenarios =
  values.scenario === 'all' ? [...scenarioNames] : scenarioNames.filter((name) => name === values.scenario);
const faultScenarios = faultScenarioNames.filter((name) => name === values.scenario);
const logs = (['postgres', 'kafka'] as const).filter((log) => values.log === log || values.log === 'both');
const sizes = {
  ...(values.count === undefined ? {} : { count: Number(values.count) }),
  ...(values['warm-up'] === undefined ? {} : { warmUp: Number(values['warm-up']) }),
};
if (values.help || speedScenarios.length + faultScenarios.length === 0 || logs.length === 0) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}

const results: (RunResult | FaultResult)[] = [];
const show = (result: RunResult): void => {
  results.push(result);
  console.log(`${tableOf(result)}\n`);
};
const showFault = (result: FaultResult): void => {
  results.push(result);
  console.log(`${faultTableOf(result)}\n`);
};
if (speedScenarios.length > 0) {
  show(await withWorkers((workers) => calibrate(scenarioOf('throughput', sizes), workers)));
}
for (const log of logs) {
  for (const name of speedScenarios) {
    show(await onStack(name, log, (bench) => runScenario(scenarioOf(name, sizes), bench)));
  }
  for (const name of faultScenarios) {
    await onStack(name, log, (bench) => runFaults(faultScenarioOf(name, sizes), bench, showFault));
  }
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
process.exit(results.every(({ lost }) => lost === 0) ? 0 : 1);

/** Each scenario on a stack of its own: nothing of an earlier one is in its tables, its caches or its log. */
async function onStack<T>(name: string, log: LogKind, measure: (bench: Bench) => Promise<T>): Promise<T> {
  const profileDir = values.profile
    ? mkdtempSync(path.join(os.tmpdir(), `posthaste-profile-${name}-`))
    : undefined;
  return withWorkers(async (workers) => {
    const stack = await startBenchStack({
      log,
      distDir: path.resolve(import.meta.dirname, '../..'),
      ...(profileDir === undefined ? {} : { profileDir }),
    });
    const pids = stack.pids();
    try {
      return await measure({ workers, stack });
    } finally {
      await stack.stop();
      if (profileDir !== undefined) printProfiles(profileDir, pids);
    }
  });
}

async function withWorkers<T>(use: (workers: Workers) => Promise<T>): Promise<T> {
  const workers = { generator: WorkerProcess.start('generator'), receiver: WorkerProcess.start('receiver') };
  try {
    return await use(workers);
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
