import type { Bench } from '../product/bench-stack.js';
import { type Load, measureLoad, measurementOf, openWay, sendAll, warmUp, type Way } from './load.js';
import type { Measurement } from '../results/measurement.js';
import { costWithoutProduct, freeOfCost } from '../product/meter.js';
import { commitToDisk, type DiskCommits } from '../traffic/disk-commits.js';
import type { Pace } from '../traffic/protocol.js';
import { quantilesOf, round } from '../traffic/quantiles.js';
import type { ScenarioName, Sizes } from './scenarios.js';
import type { Workers } from '../traffic/worker-process.js';

/** One account whose endpoints answer at once: how much the product carries, and how quickly. */

export type Show = (measurement: Measurement) => void;

export const FULL_SPEED: Pace = { inFlight: 64 };
export const STEADY_PER_SECOND = 200;
const STEADY: Pace = { perSecond: STEADY_PER_SECOND };
/** At 200 a second, 20 s. */
const STEADY_COUNT = 4_000;
const FULL_SPEED_COUNT = 20_000;
/** As often as the figures of other products were taken. The first still compiles, in the services and the broker. */
const REPETITIONS = 3;
const FAN_OUT = { messages: 400, endpoints: 50 };

export const fullSpeed = (sizes: Sizes): Load => ({ count: sizes.count(FULL_SPEED_COUNT), pace: FULL_SPEED });
export const steady = (sizes: Sizes): Load => ({ count: sizes.count(STEADY_COUNT), pace: STEADY });

export async function runThroughput(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const way = await openWay('throughput', bench);
  await warmUp(way, sizes.warmUp(), bench);
  await repeat('throughput', '64 in flight', fullSpeed(sizes), way, bench, show);
}

export async function runLatency(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const way = await openWay('latency', bench);
  await warmUp(way, sizes.warmUp(), bench);
  await repeat('latency', `${STEADY_PER_SECOND}/s`, steady(sizes), way, bench, show);
}

export async function runFanOut(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const { messages, endpoints } = FAN_OUT;
  const way = await openWay('fan-out', bench, endpoints);
  await warmUp(way, Math.ceil(sizes.warmUp() / endpoints), bench);
  const load = { count: sizes.count(messages), pace: FULL_SPEED };
  await repeat('fan-out', `1 message to ${endpoints} endpoints`, load, way, bench, show);
}

async function repeat(
  scenario: ScenarioName,
  run: string,
  load: Load,
  way: Way,
  bench: Bench,
  show: Show,
): Promise<void> {
  for (let i = 1; i <= REPETITIONS; i++) {
    show(await measureLoad(scenario, `${run}, ${i} of ${REPETITIONS}`, load, way, bench));
  }
}

/** What the generator and the receiver can do with nothing between them, in both loops, and the disk by itself. */
export async function calibrate(workers: Workers, sizes: Sizes, show: Show): Promise<void> {
  const receiver = await workers.receiver.ask<string>({ kind: 'listen', behaviour: 'prompt' });
  const headers = { 'content-type': 'application/json' };
  const way: Way = { targets: [{ url: receiver, prefix: '', suffix: '' }], headers, receiver, endpoints: 1 };
  await sendAll(way, { count: sizes.warmUp(), pace: FULL_SPEED }, workers);
  for (const [run, load] of [
    ['64 in flight', fullSpeed(sizes)],
    [`${STEADY_PER_SECOND}/s`, steady(sizes)],
  ] as const) {
    const send = (): ReturnType<typeof sendAll> => sendAll(way, load, workers);
    const { result, cost } = await costWithoutProduct(workers, send, ({ collected }) => collected.distinct);
    show(measurementOf({ scenario: 'calibration', log: 'none', run }, 1, result, cost));
  }
  const commits = await commitToDisk(steady(sizes).count, STEADY);
  show(commitsMeasured(`${STEADY_PER_SECOND} commits/s to disk`, commits));
}

function commitsMeasured(run: string, { tookMs, seconds }: DiskCommits): Measurement {
  const perSecond = round(tookMs.length / seconds, 0);
  const quantiles = quantilesOf(tookMs);
  return {
    scenario: 'calibration',
    log: 'none',
    run,
    messages: tookMs.length,
    answers: { 'on disk': tookMs.length },
    delivered: tookMs.length,
    acceptsPerSecond: perSecond,
    deliveriesPerSecond: perSecond,
    acceptMs: quantiles,
    endToEndMs: quantiles,
    lost: 0,
    duplicates: 0,
    ...freeOfCost,
    figures: {},
  };
}
