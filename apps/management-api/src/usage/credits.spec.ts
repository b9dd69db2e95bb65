import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { monitoredSeconds, type Period, toCredits } from './credits.js';

const day = (number: number, hour = 0): Date => new Date(Date.UTC(2026, 0, number, hour));
const whole = (until: Date) => ({ since: null, until });
const credits = (periods: Period[], window: { since: Date | null; until: Date }): number =>
  toCredits(monitoredSeconds(periods, window));

describe('credits', () => {
  it('are ten a day, one per 144 minutes, and accrue in between', () => {
    const since = [{ startedAt: day(1), endedAt: null }];
    expect(credits(since, whole(day(2)))).toBe(10);
    expect(credits(since, whole(new Date(day(1).getTime() + 144 * 60_000)))).toBe(1);
    expect(credits(since, whole(new Date(day(1).getTime() + 72 * 60_000)))).toBe(0.5);
    expect(credits(since, whole(day(1)))).toBe(0);
  });

  it('stop with a stop and go on with a start', () => {
    const periods = [
      { startedAt: day(5), endedAt: null },
      { startedAt: day(1), endedAt: day(2) },
    ];
    expect(credits(periods, whole(day(3)))).toBe(10);
    expect(credits(periods, whole(day(5)))).toBe(10);
    expect(credits(periods, whole(day(5, 12)))).toBe(15);
  });

  it('count only what lies in the window', () => {
    const periods = [{ startedAt: day(1), endedAt: day(11) }];
    expect(credits(periods, { since: day(3), until: day(5) })).toBe(20);
    expect(credits(periods, { since: day(10), until: day(20) })).toBe(10);
    expect(credits(periods, { since: day(20), until: day(30) })).toBe(0);
  });

  it('of two windows that meet add up to those of both, whatever the periods', () => {
    const instant = fc.integer({ min: 0, max: 1_000_000_000 });
    const period = fc.tuple(instant, instant, fc.boolean()).map(([a, b, open]) => ({
      startedAt: new Date(Math.min(a, b)),
      endedAt: open ? null : new Date(Math.max(a, b)),
    }));
    fc.assert(
      fc.property(fc.array(period), fc.tuple(instant, instant, instant), (periods, bounds) => {
        const [since, between, until] = bounds.sort((a, b) => a - b).map((at) => new Date(at)) as [
          Date,
          Date,
          Date,
        ];
        const split =
          monitoredSeconds(periods, { since, until: between }) +
          monitoredSeconds(periods, { since: between, until });
        expect(monitoredSeconds(periods, { since, until })).toBeCloseTo(split, 6);
      }),
    );
  });
});
