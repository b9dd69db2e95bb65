/** What is said of many measured times. All in milliseconds. */
export interface Quantiles {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  p999: number;
  max: number;
}

/**
 * Exact quantiles by rank: the smallest measured value that at least the share `q` of all values do not exceed.
 * Sorting a few hundred thousand numbers once costs less than being wrong by a bucket.
 */
export function quantilesOf(values: Float64Array): Quantiles {
  const sorted = Float64Array.from(values).sort();
  const at = (q: number): number => {
    const rank = Math.max(1, Math.ceil(q * sorted.length - 1e-9));
    return round(sorted[rank - 1] ?? NaN);
  };
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1) };
}

export function round(value: number, digits = 2): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
