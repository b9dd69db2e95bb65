import type { Bench } from '../product/bench-stack.js';
import { measureLoad, measurementOf, openWay, sendAll, warmUp } from './load.js';
import { Meter } from '../product/meter.js';
import { round } from '../traffic/quantiles.js';
import { FULL_SPEED, type Show } from './run-speed.js';
import type { Sizes } from './scenarios.js';

const MESSAGES = 10_000;

/**
 * What an `Idempotency-Key` costs, and that it does what it is for: the same load without keys, with one for each
 * message, and with each message sent again under its key as soon as it is answered. A repeat must get the very answer
 * of the first, and nothing is delivered twice.
 */
export async function runIdempotent(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const { workers, stack } = bench;
  const scenario = 'idempotent-publish';
  const way = await openWay(scenario, bench);
  await warmUp(way, sizes.warmUp(), bench);
  const load = { count: sizes.count(MESSAGES), pace: FULL_SPEED };
  const without = await measureLoad(scenario, 'without keys', load, way, bench);
  show(without);
  const once = { ...load, keyed: { prefix: 'once', repeat: false } };
  const keyed = await measureLoad(scenario, 'a key for each', once, way, bench);
  show({ ...keyed, figures: { cpu_to_without: round(keyed.cpuMsPerDelivery / without.cpuMsPerDelivery) } });

  const meter = await Meter.start(bench);
  const finished = await sendAll(way, { ...load, keyed: { prefix: 'twice', repeat: true } }, workers);
  const cost = await meter.read(finished.collected.distinct);
  const { repeats } = finished.generated;
  show({
    ...measurementOf({ scenario, log: stack.log, run: 'each sent twice' }, 1, finished, cost),
    figures: {
      repeats: repeats?.acceptMs.count ?? 0,
      repeats_answered_otherwise: repeats?.differed ?? 0,
      repeat_p50_ms: repeats?.acceptMs.p50 ?? NaN,
      repeat_p99_ms: repeats?.acceptMs.p99 ?? NaN,
    },
  });
}
