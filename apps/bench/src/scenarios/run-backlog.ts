import type { Bench } from '../product/bench-stack.js';
import { collect, measureLoad, measurementOf, openWay, publish, rate, warmUp } from './load.js';
import { Meter } from '../product/meter.js';
import { round } from '../traffic/quantiles.js';
import { FULL_SPEED, fullSpeed, type Show } from './run-speed.js';
import type { Sizes } from './scenarios.js';
import { nowMs } from '../traffic/stamped-payload.js';

const BACKLOG = 100_000;
/** The dispatcher's start is part of it. */
const PATIENCE_MS = 60_000;

/**
 * Messages that were accepted while no dispatcher ran, delivered once one does: beside the speed of live traffic on
 * the same stack. The cost is that of the draining alone; what a message waited before it says nothing, so the times
 * from end to end are those of the whole pause.
 */
export async function runBacklog(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const { workers, stack } = bench;
  const way = await openWay('backlog', bench);
  await warmUp(way, sizes.warmUp(), bench);
  const live = await measureLoad('backlog', 'live', fullSpeed(sizes), way, bench);
  show(live);

  const dispatcher = stack.process('dispatcher');
  await dispatcher.stop();
  const generated = await publish(way, { count: sizes.count(BACKLOG), pace: FULL_SPEED }, workers);
  const meter = await Meter.start(bench);
  const startedAtMs = nowMs();
  await dispatcher.start();
  const collected = await collect(way, generated.accepted, PATIENCE_MS, workers);
  const cost = await meter.read(collected.distinct);
  const { firstReceivedAtMs, lastReceivedAtMs, distinct } = collected;
  const drained = rate(distinct, firstReceivedAtMs, lastReceivedAtMs);
  show({
    ...measurementOf(
      { scenario: 'backlog', log: stack.log, run: 'drained' },
      1,
      { generated, collected },
      cost,
    ),
    deliveriesPerSecond: drained,
    figures: {
      drained_to_live: round(drained / live.deliveriesPerSecond),
      start_to_first_delivery_s: round((firstReceivedAtMs - startedAtMs) / 1_000),
      start_to_last_delivery_s: round((lastReceivedAtMs - startedAtMs) / 1_000),
    },
  });
}
