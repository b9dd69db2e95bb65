import type { Bench } from '../product/bench-stack.js';
import { measureLoad, warmUp } from './load.js';
import { wayTo } from './parties.js';
import { fullSpeed, type Show } from './run-speed.js';
import { DISPATCHERS_TO_SCALE, type Sizes } from './scenarios.js';

/** Enough that each of the partitions has some. */
const ACCOUNTS = 24;
const HALVES = [DISPATCHERS_TO_SCALE, DISPATCHERS_TO_SCALE / 2, DISPATCHERS_TO_SCALE / 4];
/** So many processes have as much to compile each. */
const WARM_UP = 20_000;

/**
 * The same load on four dispatchers, then on two, then on one. On one machine that is full either way nothing gets faster
 * by more processes; what is to be seen is what a delivery costs when its partitions are spread over more of them.
 */
export async function runScaling(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const wish = { name: 'scaling', accounts: ACCOUNTS, endpointsEach: 1, behaviour: 'prompt' } as const;
  const way = await wayTo(bench, wish);
  await warmUp(way, sizes.warmUp(WARM_UP), bench);
  let running = DISPATCHERS_TO_SCALE;
  for (const wanted of HALVES) {
    for (; running > wanted; running--) await bench.stack.process(`dispatcher-${running}`).stop();
    const run = wanted === 1 ? '1 dispatcher' : `${wanted} dispatchers`;
    show(await measureLoad('scaling', run, fullSpeed(sizes), way, bench));
  }
}
