/** Numbers that look random and are the same for the same seed, so that a failed run can be run again. */
export interface SeededRandom {
  readonly seed: number;
  /** At least 0, below 1. */
  next(): number;
  /** A whole number of at least 0, below `limit`. */
  below(limit: number): number;
  pick<T>(from: readonly T[]): T;
}

/**
 * Mulberry32: one multiplication-heavy step over 32 bits, good enough to choose what a test does next. The seed is that
 * of this run of the tests (tools/jest.mjs) unless a test says another.
 */
export function seededRandom(seed = Number(process.env.TEST_SEED ?? 1)): SeededRandom {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    seed,
    next,
    below,
    pick: (from) => {
      if (from.length === 0) throw new Error('there is nothing to pick from');
      return from[below(from.length)] as (typeof from)[number];
    },
  };
}
