import { type Bench, type LogKind, whenQuiet } from './bench-stack.js';
import { type CostPerDelivery, costPerDelivery } from './process-cost.js';
import type { CollectedReport, GeneratedReport, GenerateOrder } from './protocol.js';
import { type Quantiles, round } from './quantiles.js';
import { type Scenario, type ScenarioName, WARM_UP_PACE } from './scenarios.js';
import type { Workers } from './worker-process.js';

/** One run, as it is printed and written down. */
export interface RunResult extends CostPerDelivery {
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
}

/** Where messages go, into the product or straight to the receiver, and where they are to arrive. */
interface Way extends Pick<GenerateOrder, 'targets' | 'headers'> {
  receiverUrl: string;
}

const PATIENCE_MS = 20_000;

export async function runScenario(scenario: Scenario, { workers, stack }: Bench): Promise<RunResult> {
  const receiverUrl = await workers.receiver.ask<string>({ kind: 'listen', behaviour: 'prompt' });
  await stack.tenant.putAccount('bench');
  await stack.tenant.createEndpoint('bench', { url: receiverUrl });
  const targets = [stack.target('bench', 'bench.sent')];
  const way = { targets, headers: stack.headers, receiverUrl };
  const warm = await runLoad({ ...scenario, count: scenario.warmUp, pace: WARM_UP_PACE }, workers, way);
  if (warm.collected.distinct < warm.generated.accepted) {
    throw new Error(`the warm-up lost ${warm.generated.accepted - warm.collected.distinct} messages`);
  }
  await whenQuiet(stack);
  const before = stack.costs();
  const load = await runLoad(scenario, workers, way);
  const cost = costPerDelivery(before, stack.costs(), load.collected.distinct);
  return { ...resultOf(scenario.name, stack.log, scenario.count, load), ...cost };
}

/** What the generator and the receiver can do with nothing between them. */
export async function calibrate(scenario: Scenario, workers: Workers): Promise<RunResult> {
  const receiverUrl = await workers.receiver.ask<string>({ kind: 'listen', behaviour: 'prompt' });
  const headers = { 'content-type': 'application/json' };
  const way = { targets: [{ url: receiverUrl, prefix: '', suffix: '' }], headers, receiverUrl };
  await runLoad({ ...scenario, count: scenario.warmUp }, workers, way);
  const load = await runLoad(scenario, workers, way);
  return {
    ...resultOf('calibration', 'none', scenario.count, load),
    processes: {},
    cpuMsPerDelivery: 0,
  };
}

interface Load {
  generated: GeneratedReport;
  collected: CollectedReport;
}

async function runLoad(
  scenario: Pick<Scenario, 'count' | 'payloadBytes' | 'pace'>,
  { generator, receiver }: Workers,
  { receiverUrl, ...way }: Way,
): Promise<Load> {
  const { count, payloadBytes, pace } = scenario;
  await receiver.ask({ kind: 'reset', capacity: count });
  const order: GenerateOrder = { ...way, count, payloadBytes, pace };
  const generated = await generator.ask<GeneratedReport>({ kind: 'generate', order });
  const collected = await receiver.ask<CollectedReport>({
    kind: 'collect',
    order: { receiver: receiverUrl, expected: generated.accepted, patienceMs: PATIENCE_MS, partsAt: [] },
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
