import { waitFor } from '@posthaste/test-kit';
import type { Bench } from '../product/bench-stack.js';
import { countsOf } from '../product/dispatcher-watch.js';
import { Meter } from '../product/meter.js';
import { round } from '../traffic/quantiles.js';
import { nowMs } from '../traffic/stamped-payload.js';
import { measurementOf, openWay, rate, sendAll, warmUp } from './load.js';
import { FULL_SPEED, type Show } from './run-speed.js';
import type { Sizes } from './scenarios.js';

const MESSAGES = 50_000;
const LOOK_EVERY_MS = 100;
const LIMIT_MS = 300_000;

/** Who projects, and how many of a message's records: its own, and that of its one attempt. */
const PROJECTIONS = [
  { service: 'audit-log', recordsEach: 2 },
  { service: 'retry-scheduler', recordsEach: 1 },
] as const;

/**
 * What was delivered while nobody wrote it down, projected once somebody does: how many records a second one process
 * takes, with nothing else to do for the machine. The cost is that of the catching up alone.
 */
export async function runProjection(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const way = await openWay('projection', bench);
  await warmUp(way, sizes.warmUp(), bench);
  for (const { service, recordsEach } of PROJECTIONS) {
    const projector = bench.stack.process(service);
    await projector.stop();
    const finished = await sendAll(way, { count: sizes.count(MESSAGES), pace: FULL_SPEED }, bench.workers);
    const meter = await Meter.start(bench);
    const startedAtMs = nowMs();
    const records = finished.collected.distinct * recordsEach;
    // It has started only when it has caught up.
    const [{ first, last }] = await Promise.all([whenApplied(service, records, bench), projector.start()]);
    const cost = await meter.read(finished.collected.distinct);
    const identity = { scenario: 'projection', log: bench.stack.log, run: `${service} catches up` } as const;
    show({
      ...measurementOf(identity, 1, finished, cost),
      figures: {
        records,
        records_per_second: rate(last.records - first.records, first.atMs, last.atMs),
        start_to_caught_up_s: round((last.atMs - startedAtMs) / 1_000),
      },
    });
  }
}

interface Applied {
  records: number;
  atMs: number;
}

/** The first look that found any, and the one that found all. */
async function whenApplied(
  service: string,
  records: number,
  { stack }: Bench,
): Promise<{ first: Applied; last: Applied }> {
  let first: Applied | undefined;
  const look = async (): Promise<Applied | null> => {
    // Refused until it listens.
    const metrics = await stack.metrics(service).catch(() => '');
    const counts = countsOf(metrics, 'posthaste_projection_records_total', 'topic');
    const now = { records: Object.values(counts).reduce((sum, count) => sum + count, 0), atMs: nowMs() };
    if (now.records > 0) first ??= now;
    return now.records >= records ? now : null;
  };
  const last = await waitFor(look, {
    what: `${records} records applied by ${service}`,
    everyMs: LOOK_EVERY_MS,
    deadlineMs: LIMIT_MS,
  });
  return { first: first ?? last, last };
}
