import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type AttemptOutcome, decide, parseRetryAfter, policySpanMs, retryDelaysMs } from './index.js';

const failed: AttemptOutcome = { kind: 'failed', class: 'http_status', status: 500 };
const ada = { preset: 'ada' } as const;
const at = (attempt: number, extra: Partial<Parameters<typeof decide>[0]> = {}) =>
  decide({ outcome: failed, attempt, policy: ada, now: 1_000, random: 0.5, ...extra });

describe('after an attempt', () => {
  it('a success is delivered, whatever the policy', () => {
    expect(at(8, { outcome: { kind: 'succeeded', status: 204 } })).toEqual({ kind: 'delivered' });
  });

  it('a failure follows the schedule of Ada: eight attempts over 27 h 35 min', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((attempt) => {
      const decision = at(attempt);
      return decision.kind === 'retry' ? (decision.at - 1_000) / 1_000 : decision.kind;
    });
    expect(delays).toEqual([5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]);
    expect(at(8)).toEqual({ kind: 'exhausted' });
    expect(policySpanMs(ada)).toBe(99_305_000);
  });

  it('an own schedule is followed, and an empty one never retries', () => {
    expect(at(1, { policy: { scheduleSeconds: [1.5] } })).toEqual({ kind: 'retry', at: 2_500 });
    expect(at(2, { policy: { scheduleSeconds: [1.5] } })).toEqual({ kind: 'exhausted' });
    expect(at(1, { policy: { preset: 'none' } })).toEqual({ kind: 'exhausted' });
  });

  it('steps from five minutes up vary by a fifth either way, shorter ones not at all', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 1, max: 7 }),
        (random, attempt) => {
          const stepMs = retryDelaysMs(ada)[attempt - 1] as number;
          const decision = at(attempt, { random });
          const delayMs = decision.kind === 'retry' ? decision.at - 1_000 : NaN;
          const spreadMs = stepMs >= 300_000 ? stepMs * 0.2 : 0;
          expect(delayMs).toBeGreaterThanOrEqual(Math.floor(stepMs - spreadMs));
          expect(delayMs).toBeLessThanOrEqual(Math.ceil(stepMs + spreadMs));
        },
      ),
    );
  });

  it.each([
    ['shorter than the step: the step', 1, 1_000, 5_000],
    ['longer: as asked', 1, 60_000, 60_000],
    ['far longer: an hour at most on a short step', 1, 86_400_000, 3_600_000],
    ['far longer: twice the step on a long one', 6, 864_000_000, 72_000_000],
  ])('a receiver asking for a delay %s', (_, attempt, retryAfterMs, delayMs) => {
    expect(at(attempt, { outcome: { ...failed, retryAfterMs } })).toEqual({
      kind: 'retry',
      at: 1_000 + delayMs,
    });
  });
});

describe('Retry-After', () => {
  const now = Date.parse('Sat, 21 Nov 2026 07:00:00 GMT');
  it.each([
    ['120', 120_000],
    [' 7 ', 7_000],
    ['0', 0],
    [['30', '60'], 30_000],
    ['Sat, 21 Nov 2026 07:01:00 GMT', 60_000],
    ['Sat, 21 Nov 2026 06:00:00 GMT', undefined],
    ['-1', undefined],
    ['1e99', undefined],
    ['99999999999', undefined],
    ['soon', undefined],
    ['2026-11-21T08:00:00Z', undefined],
    ['x'.repeat(100_000), undefined],
    [undefined, undefined],
  ])('%j asks for %s ms', (header, delayMs) => {
    expect(parseRetryAfter(header, now)).toBe(delayMs);
  });
});
