import { type Bench, type BenchStack, residentMb, whenQuiet } from '../product/bench-stack.js';
import { Meter } from '../product/meter.js';
import { round } from '../traffic/quantiles.js';
import { collect, measureLoad, measurementOf, openWay, publish, warmUp } from './load.js';
import { wayTo } from './parties.js';
import { FULL_SPEED, type Show } from './run-speed.js';
import type { Sizes } from './scenarios.js';

const ENDPOINTS = 10_000;
const ACCOUNTS = 100;
const ENDPOINTS_PER_SECOND = 500;
const DEFERRED = 100_000;
/** Caches fill and code is compiled before anything is weighed. */
const WARM_UP = 20_000;
/** The pause between two retries, and a breaker's 30 s. */
const RETRIES_SECONDS = Array.from({ length: 30 }, () => 30);
const PATIENCE_MS = 95_000;

/**
 * What the services hold more of memory for 10,000 endpoints that have each been sent something, and then for 100,000
 * deliveries put off for one that is down, which returns in the end. Garbage that was not collected yet is in both.
 */
export async function runMemory(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const { workers, stack } = bench;
  await warmUp(await openWay('memory', bench), sizes.warmUp(WARM_UP), bench);

  const endpointsEach = sizes.scaled(ENDPOINTS / ACCOUNTS);
  const endpoints = ACCOUNTS * endpointsEach;
  let before = await heldBy(stack);
  const many = await wayTo(bench, { name: 'many', accounts: ACCOUNTS, endpointsEach, behaviour: 'prompt' });
  const load = { count: endpoints, pace: { perSecond: ENDPOINTS_PER_SECOND } };
  const sent = await measureLoad('memory', `${endpoints} endpoints, a message to each`, load, many, bench);
  show({ ...sent, figures: grownBy(before, await heldBy(stack)) });

  const one = { accounts: 1, endpointsEach: 1, scheduleSeconds: RETRIES_SECONDS };
  const away = await wayTo(bench, { name: 'away', behaviour: 'refuse', ...one });
  before = await heldBy(stack);
  const meter = await Meter.start(bench);
  const count = sizes.count(DEFERRED);
  const generated = await publish(away, { count, pace: FULL_SPEED }, workers);
  const figures = grownBy(before, await heldBy(stack));
  await workers.receiver.ask({ kind: 'behave', receiver: away.receiver, behaviour: 'prompt' });
  const collected = await collect(away, generated.accepted, PATIENCE_MS, workers);
  const cost = await meter.read(collected.distinct);
  const identity = { scenario: 'memory', log: stack.log, run: `${count} deferred, then delivered` } as const;
  show({ ...measurementOf(identity, 1, { generated, collected }, cost), figures });
}

/** Once they have nothing left to do. */
async function heldBy(stack: BenchStack): Promise<Map<string, number>> {
  await whenQuiet(stack);
  return new Map(residentMb(stack));
}

function grownBy(before: Map<string, number>, after: Map<string, number>): Record<string, number> {
  const grown = [...after].map(([name, mb]) => [`${name}_mb_more`, round(mb - (before.get(name) ?? 0), 0)]);
  return Object.fromEntries(grown) as Record<string, number>;
}
