import type { BenchStack, LogKind } from './bench-stack.js';
import type { ProcessCost } from './process-cost.js';
import type { CollectedReport, GeneratedReport, GenerateOrder } from './protocol.js';
import { type Quantiles, round } from './quantiles.js';
import type { Scenario, ScenarioName } from './scenarios.js';
import type { WorkerProcess } from './worker-process.js';

/** One run, as it is printed and written down. */
export interface RunResult {
  scenario: ScenarioName | 'calibration';
  log: LogKind | 'none';
  messages: number;
  answers: Record<string, number>;
  acceptsPerSecond: number;
  /** From the first accept to the last delivery. */
  deliveriesPerSecond: number;
  acceptMs: Quantiles;
  endToEndMs: Quantiles;
  /** Acknowledged, and never received. */
  lost: number;
  duplicates: number;
  processes: Record<string, { cpuSecondsPer1000: number; peakRssMb: number }>;
  /** All processes of the product, datastores included. */
  cpuMsPerDelivery: number;
}

/** Where messages go: into the product, or straight to the receiver. */
export interface Target {
  url: string;
  headers: Record<string, string>;
  prefix: string;
  suffix: string;
}

export interface Workers {
  generator: WorkerProcess;
  receiver: WorkerProcess;
}

const PATIENCE_MS = 20_000;
/** As much at a time as the throughput scenario: what is measured afterwards is compiled and connected. */
const WARM_UP_PACE = { inFlight: 64 };
const QUIET_CPU_SHARE = 0.1;
const QUIET_LOOK_MS = 500;
const QUIET_LIMIT_MS = 20_000;

export async function runScenario(
  scenario: Scenario,
  workers: Workers,
  stack: BenchStack,
  log: LogKind,
): Promise<RunResult> {
  const { publishUrl: url, headers } = stack;
  const target = { url, headers, prefix: '{"event_type":"bench.sent","payload":', suffix: '}' };
  const warm = await runLoad({ ...scenario, count: scenario.warmUp, pace: WARM_UP_PACE }, workers, target);
  if (warm.collected.distinct < warm.generated.accepted) {
    throw new Error(`the warm-up lost ${warm.generated.accepted - warm.collected.distinct} messages`);
  }
  await whenQuiet(stack);
  const before = stack.costs();
  const load = await runLoad(scenario, workers, target);
  const processes = costsPer1000(before, stack.costs(), load.collected.distinct);
  return { ...resultOf(scenario.name, log, scenario.count, load), ...processes };
}

/** What the generator and the receiver can do with nothing between them. */
export async function calibrate(
  scenario: Scenario,
  workers: Workers,
  receiverUrl: string,
): Promise<RunResult> {
  const headers = { 'content-type': 'application/json' };
  const target = { url: receiverUrl, headers, prefix: '', suffix: '' };
  await runLoad({ ...scenario, count: scenario.warmUp }, workers, target);
  const load = await runLoad(scenario, workers, target);
  return {
    ...resultOf('calibration', 'none', scenario.count, load),
    processes: {},
    cpuMsPerDelivery: 0,
  };
}

/** History is written a little after delivery: what the warm-up left to do must not count. */
async function whenQuiet(stack: BenchStack): Promise<void> {
  const used = (): number => Object.values(stack.costs()).reduce((sum, cost) => sum + cost.cpuSeconds, 0);
  const deadline = performance.now() + QUIET_LIMIT_MS;
  for (let before = used(); performance.now() < deadline; before = used()) {
    await new Promise((resolve) => setTimeout(resolve, QUIET_LOOK_MS));
    if (used() - before < (QUIET_CPU_SHARE * QUIET_LOOK_MS) / 1_000) return;
  }
}

interface Load {
  generated: GeneratedReport;
  collected: CollectedReport;
}

async function runLoad(
  scenario: Pick<Scenario, 'count' | 'payloadBytes' | 'pace'>,
  { generator, receiver }: Workers,
  target: Target,
): Promise<Load> {
  const { count, payloadBytes, pace } = scenario;
  await receiver.ask({ kind: 'reset', capacity: count });
  const order: GenerateOrder = { ...target, count, payloadBytes, pace };
  const generated = await generator.ask<GeneratedReport>({ kind: 'generate', order });
  const collected = await receiver.ask<CollectedReport>({
    kind: 'collect',
    order: { expected: generated.accepted, patienceMs: PATIENCE_MS },
  });
  return { generated, collected };
}

function resultOf(
  scenario: RunResult['scenario'],
  log: RunResult['log'],
  messages: number,
  { generated, collected }: Load,
): Omit<RunResult, 'processes' | 'cpuMsPerDelivery'> {
  const { firstAcceptedAtMs: startMs, lastAcceptedAtMs, accepted, refused, answers } = generated;
  const perSecond = (count: number, untilMs: number): number =>
    round((count * 1000) / (untilMs - startMs), 0);
  const excused = new Set(refused);
  return {
    scenario,
    log,
    messages,
    answers,
    acceptsPerSecond: perSecond(accepted, lastAcceptedAtMs),
    deliveriesPerSecond: perSecond(collected.distinct, collected.lastReceivedAtMs),
    acceptMs: generated.acceptMs,
    endToEndMs: collected.endToEndMs,
    lost: collected.missing.filter((seq) => !excused.has(seq)).length,
    duplicates: collected.duplicates,
  };
}

function costsPer1000(
  before: Record<string, ProcessCost>,
  after: Record<string, ProcessCost>,
  deliveries: number,
): Pick<RunResult, 'processes' | 'cpuMsPerDelivery'> {
  const used = Object.entries(after).map(([name, { cpuSeconds, peakRssMb }]) => {
    const seconds = cpuSeconds - (before[name]?.cpuSeconds ?? 0);
    return { name, perThousand: (seconds * 1000) / deliveries, peakRssMb };
  });
  return {
    processes: Object.fromEntries(
      used.map(({ name, perThousand, peakRssMb }) => [
        name,
        { cpuSecondsPer1000: round(perThousand, 3), peakRssMb: round(peakRssMb, 0) },
      ]),
    ),
    // Seconds per thousand are milliseconds each.
    cpuMsPerDelivery: round(
      used.reduce((sum, { perThousand }) => sum + perThousand, 0),
      3,
    ),
  };
}
