/**
 * A latency's bucket is the whole part of four times its binary logarithm: a bucket ends 19 % above where it begins, and
 * the same ones hold for everything, so that counts of minutes, hours and endpoints add up. 0 also holds what took less
 * than a millisecond; two minutes are in bucket 67.
 */
const BUCKETS_PER_OCTAVE = 4;

/** Deferrals, which took no time. */
export const NO_BUCKET = -1;

/** The bucket of a column in milliseconds, in SQL. */
export const bucketSql = (ms: string): string =>
  `floor(${BUCKETS_PER_OCTAVE / Math.LN2} * ln(greatest(${ms}, 1)))::smallint`;

/** In the middle of the bucket: at most 9 % off. Two digits after the point say more than it knows. */
function latencyOf(bucket: number): number {
  return Math.round(2 ** ((bucket + 0.5) / BUCKETS_PER_OCTAVE) * 100) / 100;
}

/** The latency that a share of all counted ones did not exceed; undefined of none. */
export function quantile(counts: Map<number, number>, share: number): number | undefined {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let below = 0;
  for (const [bucket, count] of [...counts].sort(([a], [b]) => a - b)) {
    below += count;
    // What is left of rounding must not ask for one more than there are.
    if (below >= Math.max(1, share * total - 1e-9)) return latencyOf(bucket);
  }
  return undefined;
}
