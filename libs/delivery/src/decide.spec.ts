import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type AttemptOutcome,
  decide,
  parseReceiverWish,
  parseRetryAfter,
  policySpanMs,
  retryDelaysMs,
} from './index.js';

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

  it('a failure follows the schedule of Middesk: ten retries, the first within 30 s, ever longer, over three days', () => {
    const middesk = { preset: 'middesk' } as const;
    const unreachable: AttemptOutcome = { kind: 'failed', class: 'auth_token_unreachable' };
    for (const random of [0, 0.999_999]) {
      for (const outcome of [failed, unreachable]) {
        const delays: number[] = [];
        for (let attempt = 1; attempt <= 10; attempt++) {
          const decision = at(attempt, { policy: middesk, outcome, random });
          if (decision.kind === 'retry') delays.push((decision.at - 1_000) / 1_000);
        }
        expect(delays).toHaveLength(10);
        expect(at(11, { policy: middesk, outcome, random })).toEqual({ kind: 'exhausted' });
        expect(delays[0]).toBeGreaterThanOrEqual(1);
        expect(delays[0]).toBeLessThanOrEqual(30);
      }
    }
    const steps = retryDelaysMs(middesk);
    for (const [n, step] of steps.slice(1).entries())
      expect(step).toBeGreaterThanOrEqual(1.5 * (steps[n] ?? 0));
    expect(Math.abs(policySpanMs(middesk) / 3_600_000 - 72)).toBeLessThan(2);
  });

  it('an own schedule is followed, and an empty one never retries', () => {
    expect(at(1, { policy: { scheduleSeconds: [1.5] } })).toEqual({ kind: 'retry', at: 2_500 });
    expect(at(2, { policy: { scheduleSeconds: [1.5] } })).toEqual({ kind: 'exhausted' });
    expect(at(1, { policy: { preset: 'none' } })).toEqual({ kind: 'exhausted' });
  });

  it('an attempt that somebody asked for is not retried, and otherwise decides like any other', () => {
    expect(at(1, { isRequested: true })).toEqual({ kind: 'exhausted' });
    const gone: AttemptOutcome = { kind: 'failed', class: 'http_status', status: 410 };
    expect(at(1, { isRequested: true, outcome: gone })).toEqual({
      kind: 'cancelled',
      reason: 'endpoint_gone',
    });
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

  it('a policy may say how far its delays vary: from none to half, short steps too', () => {
    const policy = { scheduleSeconds: [10, 3_600], jitter: 0.5 };
    expect(at(1, { policy, random: 0 })).toEqual({ kind: 'retry', at: 6_000 });
    expect(at(2, { policy, random: 1 })).toEqual({ kind: 'retry', at: 5_401_000 });
    expect(at(2, { policy: { ...policy, jitter: 0 }, random: 0 })).toEqual({ kind: 'retry', at: 3_601_000 });
  });

  it.each([
    { retryStatuses: undefined, status: 404, retried: true },
    { retryStatuses: [], status: 500, retried: false },
    { retryStatuses: ['5xx' as const, 429], status: 503, retried: true },
    { retryStatuses: ['5xx' as const, 429], status: 429, retried: true },
    { retryStatuses: ['5xx' as const, 429], status: 404, retried: false },
    { retryStatuses: ['5xx' as const], status: 301, retried: false },
    { retryStatuses: ['3xx' as const], status: 307, retried: true },
    { retryStatuses: ['4xx' as const], status: 999, retried: false },
    { retryStatuses: [], status: undefined, retried: true },
  ])('with retryStatuses $retryStatuses an answer of $status is retried: $retried', (row) => {
    const { retryStatuses, status, retried } = row;
    const outcome: AttemptOutcome = { kind: 'failed', class: 'http_status', status };
    const decision = at(1, { policy: { preset: 'ada', retryStatuses }, outcome });
    expect(decision.kind).toBe(retried ? 'retry' : 'exhausted');
  });

  it.each<[string, AttemptOutcome, ReturnType<typeof decide>]>([
    ['410', { ...failed, status: 410 }, { kind: 'cancelled', reason: 'endpoint_gone' }],
    [
      '410 that also aborts',
      { ...failed, status: 410, wish: 'abort-message' },
      { kind: 'cancelled', reason: 'endpoint_gone' },
    ],
    ['500 and disable', { ...failed, wish: 'disable' }, { kind: 'cancelled', reason: 'endpoint_gone' }],
    [
      '500 and abort-message',
      { ...failed, wish: 'abort-message' },
      { kind: 'cancelled', reason: 'receiver_aborted' },
    ],
    [
      '200 and disable',
      { kind: 'succeeded', status: 200, wish: 'disable' },
      { kind: 'delivered', endpointGone: true },
    ],
    [
      '200 and abort-message',
      { kind: 'succeeded', status: 200, wish: 'abort-message' },
      { kind: 'delivered' },
    ],
  ])('an answer of %s', (_, outcome, decision) => {
    // On the first attempt as on the last, and whatever the policy retries.
    expect(at(1, { outcome })).toEqual(decision);
    expect(at(9, { outcome, policy: { preset: 'ada', retryStatuses: ['4xx', '5xx'] } })).toEqual(decision);
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

describe('a receiver that asks for a delay', () => {
  it('waits at least the step and at most the ceiling, whatever it asks for and however the dice fall', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 0, max: 9_999_999_999 }),
        fc.constantFrom(301, 429, 500, 502, 503, 504),
        (random, attempt, retryAfterSeconds, status) => {
          const stepMs = retryDelaysMs(ada)[attempt - 1] as number;
          const retryAfterMs = retryAfterSeconds * 1_000;
          const decision = at(attempt, { random, outcome: { ...failed, status, retryAfterMs } });
          const delayMs = decision.kind === 'retry' ? decision.at - 1_000 : NaN;
          const ceilingMs = Math.max(2 * stepMs, 3_600_000);
          expect(delayMs).toBeGreaterThanOrEqual(Math.max(stepMs, Math.min(retryAfterMs, ceilingMs)));
          expect(delayMs).toBeLessThanOrEqual(Math.max(1.2 * stepMs, Math.min(retryAfterMs, ceilingMs)));
        },
      ),
    );
  });
});

describe('webhook-delivery', () => {
  it.each([
    ['disable', 'disable'],
    [' DISABLE ', 'disable'],
    ['Abort-Message', 'abort-message'],
    [['abort-message', 'Disable'], 'disable'],
    ['abort-message,x', 'abort-message'],
    ['disabled', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j asks for %s', (header, wish) => {
    expect(parseReceiverWish(header)).toBe(wish);
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
    // Taken, and clamped by the decision.
    ['9999999999', 9_999_999_999_000],
    ['99999999999', undefined],
    ['soon', undefined],
    ['2026-11-21T08:00:00Z', undefined],
    ['x'.repeat(100_000), undefined],
    [undefined, undefined],
  ])('%j asks for %s ms', (header, delayMs) => {
    expect(parseRetryAfter(header, now)).toBe(delayMs);
  });
});
