import { describe, expect, it } from '@jest/globals';
import type {
  DeliveryAttempted,
  DeliveryCancelled,
  DeliveryDeferred,
  DeliveryEvent,
} from '@posthaste/contracts';
import fc from 'fast-check';
import { attemptOwed, type DeliveryState, evolve, isSettled, pendingDelivery } from './index.js';

const key = {
  v: 1 as const,
  delivery: 'dlv_1',
  message: 'msg_1',
  tenant: 'ten_1',
  account: 'acc_1',
  endpoint: 'ep_1',
  eventType: 'invoice.paid',
  acceptedAt: 0,
  trigger: 'publish' as const,
};
const attempted = (
  attempt: number,
  decision: DeliveryAttempted['decision'],
  startedAt = 100,
): DeliveryAttempted => ({
  ...key,
  type: 'DeliveryAttempted',
  attempt,
  id: `att_${attempt}`,
  startedAt,
  endpointVersion: 1,
  profile: 'standard',
  outcome: decision.kind === 'delivered' ? 'succeeded' : 'failed',
  ...(decision.kind === 'delivered' ? {} : { error: { class: 'http_status' as const, message: '' } }),
  request: { url: 'https://example.com/', headers: {} },
  response: {
    status: decision.kind === 'delivered' ? 200 : 500,
    headers: {},
    body: '',
    bodyTruncated: false,
  },
  timings: { totalMs: 20 },
  decision,
});
const deferred = (attempt: number, until: number): DeliveryDeferred => ({
  ...key,
  type: 'DeliveryDeferred',
  attempt,
  at: 100,
  until,
  reason: 'lane_full',
});
const cancelled = (attempt: number): DeliveryCancelled => ({
  ...key,
  type: 'DeliveryCancelled',
  attempt,
  at: 300,
  reason: 'endpoint_deleted',
});

const fold = (...events: DeliveryEvent[]): DeliveryState => events.reduce(evolve, pendingDelivery);
const ok = { statusCode: 200, errorClass: null };
const bad = { statusCode: 500, errorClass: 'http_status' };

describe('a delivery', () => {
  it('that succeeds at once is delivered', () => {
    expect(fold(attempted(1, { kind: 'delivered' }))).toEqual({
      status: 'delivered',
      attempts: 1,
      settledAt: 120,
      last: ok,
    });
  });

  it('fails twice, then succeeds', () => {
    const state = fold(
      attempted(1, { kind: 'retry', at: 500 }),
      attempted(2, { kind: 'retry', at: 900 }, 500),
      attempted(3, { kind: 'delivered' }, 900),
    );
    expect(state).toEqual({ status: 'delivered', attempts: 3, settledAt: 920, last: ok });
  });

  it('deferred keeps its attempt number', () => {
    const state = fold(attempted(1, { kind: 'retry', at: 500 }), deferred(2, 700));
    expect(state).toEqual({
      status: 'deferred',
      attempts: 1,
      nextAttemptAt: 700,
      reason: 'lane_full',
      last: bad,
    });
    expect(attemptOwed(state)).toBe(2);
  });

  it('whose endpoint goes away is cancelled, and nothing but a success changes that', () => {
    const state = fold(attempted(1, { kind: 'retry', at: 500 }), cancelled(2));
    expect(state).toMatchObject({
      status: 'cancelled',
      attempts: 1,
      settledAt: 300,
      reason: 'endpoint_deleted',
    });
    expect(evolve(state, deferred(2, 900))).toBe(state);
    expect(evolve(state, attempted(2, { kind: 'exhausted' }))).toEqual({ ...state, attempts: 2 });
    expect(evolve(state, attempted(2, { kind: 'delivered' }))).toMatchObject({ status: 'delivered' });
  });

  it('counts an attempt that was under way when an earlier one, made again, settled it', () => {
    const settled = fold(attempted(1, { kind: 'retry', at: 500 }), attempted(1, { kind: 'delivered' }));
    expect(settled).toMatchObject({ status: 'delivered', attempts: 1, settledAt: 120 });
    const afterwards = evolve(settled, attempted(2, { kind: 'delivered' }, 500));
    expect(afterwards).toEqual({ ...settled, attempts: 2 });
  });

  it('is not taken back by a late deferral or failure of an attempt already counted', () => {
    const retrying = fold(attempted(1, { kind: 'retry', at: 500 }));
    expect(evolve(retrying, deferred(1, 9_000))).toBe(retrying);
    expect(evolve(retrying, attempted(1, { kind: 'exhausted' }))).toBe(retrying);
  });
});

describe('whatever is appended, in whatever order', () => {
  const anyEvent = fc.oneof(
    fc.integer({ min: 1, max: 5 }).map((n) => attempted(n, { kind: 'delivered' })),
    fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.nat())
      .map(([n, time]) => attempted(n, { kind: 'retry', at: time })),
    fc.integer({ min: 1, max: 5 }).map((n) => attempted(n, { kind: 'exhausted' })),
    fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat()).map(([n, time]) => deferred(n, time)),
    fc.integer({ min: 1, max: 5 }).map((n) => cancelled(n)),
  );
  const history = fc.array(anyEvent, { maxLength: 12 });

  it('a repeated event changes nothing the second time', () => {
    fc.assert(
      fc.property(history, anyEvent, (events, event) => {
        const once = evolve(fold(...events), event);
        expect(evolve(once, event)).toEqual(once);
      }),
    );
  });

  it('a copy sent to a shadow URL counts for nothing', () => {
    fc.assert(
      fc.property(history, fc.constantFrom('succeeded' as const, 'failed' as const), (events, outcome) => {
        const before = fold(...events);
        const copy = { startedAt: 1, url: '', outcome, timings: { totalMs: 1 } };
        expect(evolve(before, { ...key, type: 'ShadowAttempted', attempt: 1, ...copy })).toBe(before);
      }),
    );
  });

  it('a reported success is never lost, and attempts never go down', () => {
    fc.assert(
      fc.property(history, (events) => {
        let state = pendingDelivery;
        for (const event of events) {
          const next = evolve(state, event);
          expect(next.attempts).toBeGreaterThanOrEqual(state.attempts);
          if (isSettled(state) && next.status !== 'delivered') {
            expect(next).toEqual({ ...state, attempts: next.attempts });
          }
          state = next;
        }
        const numbers = events.flatMap((e) => (e.type === 'DeliveryAttempted' ? [e.attempt] : []));
        expect(state.attempts).toBeGreaterThanOrEqual(Math.max(0, ...numbers));
        const succeeded = events.some(
          (e) => e.type === 'DeliveryAttempted' && e.decision.kind === 'delivered',
        );
        expect(state.status === 'delivered').toBe(succeeded);
      }),
    );
  });

  it('a delivery is settled or has an attempt to come, never both', () => {
    fc.assert(
      fc.property(history, (events) => {
        const state = fold(...events);
        expect(isSettled(state)).toBe('settledAt' in state);
        expect('nextAttemptAt' in state).toBe(state.status === 'retrying' || state.status === 'deferred');
      }),
    );
  });
});
