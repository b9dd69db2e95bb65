import { describe, expect, it } from '@jest/globals';
import { Breaker } from './breaker.js';

function failed(breaker: Breaker, times: number, now: number): string[] {
  return Array.from({ length: times }, () => breaker.record(false, now));
}

describe('a breaker', () => {
  it('opens at the tenth failure in a row, whenever they were', () => {
    const breaker = new Breaker();
    for (let i = 0; i < 9; i++) expect(breaker.record(false, i * 100_000)).toBe('unchanged');
    expect(breaker.record(false, 900_000)).toBe('opened');
    expect(breaker.refusesUntil(900_001)).toBe(930_000);
    expect(breaker.refusesUntil(930_000)).toBeNull();
  });

  it('opens when more than half of at least twenty recent results are failures', () => {
    const breaker = new Breaker();
    for (let i = 0; i < 10; i++) {
      expect(breaker.record(true, i)).toBe('unchanged');
      expect(breaker.record(false, i)).toBe('unchanged');
    }
    expect(breaker.record(false, 20)).toBe('opened');
  });

  it('forgets results older than its window', () => {
    const breaker = new Breaker();
    for (let i = 0; i < 19; i++) breaker.record(i % 2 === 0, 0);
    for (let i = 0; i < 10; i++) expect(breaker.record(true, 31_000)).toBe('unchanged');
    expect(failed(breaker, 9, 31_001)).not.toContain('opened');
    expect(breaker.isSpotless(31_001)).toBe(false);
    breaker.record(true, 31_002);
    expect(breaker.isSpotless(61_002)).toBe(true);
  });

  it('lets one request through when it has been open for long enough, and believes it', () => {
    const breaker = new Breaker();
    failed(breaker, 10, 0);
    breaker.begin(30_000);
    expect(breaker.refusesUntil(30_001)).toBe(60_000);
    expect(breaker.record(false, 31_000)).toBe('opened');
    expect(breaker.refusesUntil(60_999)).toBe(61_000);
    breaker.begin(61_000);
    expect(breaker.record(true, 61_500)).toBe('closed');
    expect(breaker.refusesUntil(61_501)).toBeNull();
    expect(failed(breaker, 9, 61_502)).not.toContain('opened');
  });

  it('gives the probe to another when the request was not made after all', () => {
    const breaker = new Breaker();
    failed(breaker, 10, 0);
    breaker.begin(30_000);
    breaker.withdraw(30_100);
    expect(breaker.refusesUntil(30_100)).toBeNull();
  });

  it('is closed by a success of what was in flight, and left alone by its failures', () => {
    const breaker = new Breaker();
    failed(breaker, 10, 0);
    expect(failed(breaker, 5, 1_000)).toEqual(Array.from({ length: 5 }, () => 'unchanged'));
    expect(breaker.refusesUntil(1_000)).toBe(30_000);
    expect(breaker.record(true, 1_001)).toBe('closed');
  });

  it('probes again when the probe never ended', () => {
    const breaker = new Breaker();
    failed(breaker, 10, 0);
    breaker.begin(30_000);
    expect(breaker.refusesUntil(59_999)).toBe(60_000);
    expect(breaker.refusesUntil(60_000)).toBeNull();
  });
});
