import type { Bench } from '../product/bench-stack.js';
import { measureLoad, warmUp } from './load.js';
import { wayTo } from './parties.js';
import { fullSpeed, type Show } from './run-speed.js';
import type { Sizes } from './scenarios.js';

/** Enough that each of the partitions has some. */
const ACCOUNTS = 192;
/** So many processes have as much to compile each. */
const WARM_UP = 20_000;

/**
 * The same load on all dispatchers of the stack, then on half of them, then on a quarter. On one machine that is full
 * either way nothing gets faster by more processes; what is to be seen is what a delivery costs when its partitions are
 * spread over more of them, and when there are more partitions.
 */
export async function runScaling(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const wish = { name: 'scaling', accounts: ACCOUNTS, endpointsEach: 1, behaviour: 'prompt' } as const;
  const way = await wayTo(bench, wish);
  await warmUp(way, sizes.warmUp(WARM_UP), bench);
  const { dispatchers, partitions } = bench.stack;
  let running = dispatchers;
  for (const wanted of [dispatchers, dispatchers / 2, dispatchers / 4]) {
    for (; running > wanted; running--) await bench.stack.process(`dispatcher-${running}`).stop();
    const run = `${partitions} partitions, ${wanted} of ${dispatchers} dispatchers`;
    show(await measureLoad('scaling', run, fullSpeed(sizes), way, bench));
  }
}
