import { describe, expect, it } from '@jest/globals';
import { quantilesOf } from './quantiles.js';

describe('quantiles', () => {
  it('are values that were measured, by rank, whatever order they came in', () => {
    const values = Float64Array.from({ length: 1000 }, (_, i) => 1000 - i);
    expect(quantilesOf(values)).toEqual({ count: 1000, p50: 500, p95: 950, p99: 990, p999: 999, max: 1000 });
    expect(values[0]).toBe(1000);
  });

  it('of one value are that value, and of none are not numbers', () => {
    expect(quantilesOf(Float64Array.of(3.14159))).toMatchObject({ count: 1, p50: 3.14, p999: 3.14 });
    expect(quantilesOf(new Float64Array())).toMatchObject({ count: 0, p50: NaN });
  });
});
