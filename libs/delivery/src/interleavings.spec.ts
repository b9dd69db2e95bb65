import { describe, expect, it } from '@jest/globals';
import {
  attemptErrors,
  type AttemptErrorClass,
  type CancelReason,
  type DeliveryAttempted,
  type DeliveryDeferred,
  type DeliveryEvent,
  type DeliveryRequested,
  type RetryPolicy,
} from '@posthaste/contracts';
import fc from 'fast-check';
import {
  type AttemptOutcome,
  attemptOwed,
  decide,
  type DeliveryState,
  evolve,
  isSettled,
  pendingDelivery,
} from './index.js';

/**
 * Histories as `decide` writes them, disturbed as a log of several processes may be: what was reported comes again, a
 * process that lost its partition reports late or early, lanes defer, an endpoint goes away meanwhile.
 */
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

const anyOutcome: fc.Arbitrary<AttemptOutcome> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('succeeded' as const), status: fc.constant(200) }) },
  {
    weight: 6,
    arbitrary: fc.record(
      {
        kind: fc.constant('failed' as const),
        class: fc.constantFrom(...(Object.keys(attemptErrors) as AttemptErrorClass[])),
        status: fc.constantFrom(301, 404, 410, 429, 500, 503),
        retryAfterMs: fc.nat(9_999_999_999_000),
        wish: fc.constantFrom('disable' as const, 'abort-message' as const),
      },
      { requiredKeys: ['kind', 'class'] },
    ),
  },
);
const anyPolicy: fc.Arbitrary<RetryPolicy> = fc.oneof(
  fc.record({ preset: fc.constantFrom('ada' as const, 'middesk' as const, 'none' as const) }),
  fc.record(
    {
      scheduleSeconds: fc.array(fc.nat(86_400), { minLength: 1, maxLength: 5 }),
      retryStatuses: fc.subarray(['3xx' as const, '4xx' as const, '5xx' as const, 429]),
      jitter: fc.double({ min: 0, max: 0.5, noNaN: true }),
    },
    { requiredKeys: ['scheduleSeconds'] },
  ),
);

/** The attempts of one undisturbed delivery; the last may leave it owed another. */
const anyHistory: fc.Arbitrary<DeliveryAttempted[]> = fc
  .tuple(anyPolicy, fc.array(anyOutcome, { minLength: 1, maxLength: 11 }), fc.double({ max: 0.99, min: 0 }))
  .map(([policy, outcomes, random]) => {
    const events: DeliveryAttempted[] = [];
    let startedAt = 1_000;
    for (const outcome of outcomes) {
      const event = attempted(events.length + 1, startedAt, outcome, policy, random);
      events.push(event);
      if (event.decision.kind !== 'retry') break;
      startedAt = event.decision.at;
    }
    return events;
  });

function attempted(
  attempt: number,
  startedAt: number,
  outcome: AttemptOutcome,
  policy: RetryPolicy,
  random: number,
): DeliveryAttempted {
  return {
    ...key,
    type: 'DeliveryAttempted',
    attempt,
    id: `att_${attempt}`,
    startedAt,
    endpointVersion: 1,
    profile: 'standard',
    outcome: outcome.kind,
    ...(outcome.kind === 'failed' ? { error: { class: outcome.class, message: '' } } : {}),
    request: { url: 'https://example.com/', headers: {} },
    timings: { totalMs: 20 },
    decision: decide({ outcome, attempt, policy, now: startedAt + 20, random }),
  };
}

const deferred = (attempt: number, until: number): DeliveryDeferred => {
  return { ...key, type: 'DeliveryDeferred', attempt, at: 100, until, reason: 'breaker_open' };
};

/** The history with reports repeated and deferrals of its attempts put in, each at any place at all. */
const disturbed = anyHistory.chain((history) => {
  const disturbance: fc.Arbitrary<DeliveryEvent> = fc.oneof(
    fc.constantFrom(...history),
    fc
      .tuple(fc.integer({ min: 1, max: history.length }), fc.nat(99_999))
      .map(([attempt, until]) => deferred(attempt, until)),
  );
  return fc.record({ history: fc.constant(history), log: putInto(history, disturbance, 12) });
});

function putInto(
  history: DeliveryEvent[],
  disturbance: fc.Arbitrary<DeliveryEvent>,
  maxLength: number,
): fc.Arbitrary<DeliveryEvent[]> {
  return fc.array(fc.tuple(disturbance, fc.nat()), { maxLength }).map((extra) => {
    const log = [...history];
    for (const [event, place] of extra) log.splice(place % (log.length + 1), 0, event);
    return log;
  });
}

const fold = (events: DeliveryEvent[]): DeliveryState => events.reduce(evolve, pendingDelivery);

// A failed run prints its seed, with which fast-check runs it again.
describe('a delivery whose log is disturbed', () => {
  it('by repeats and deferrals, wherever they lie, ends as it would have without', () => {
    fc.assert(
      fc.property(disturbed, ({ history, log }) => {
        expect(fold(log)).toEqual(fold(history));
      }),
      { numRuns: 2_000 },
    );
  });

  it('by a cancellation as well is settled, and delivered exactly if the receiver took it', () => {
    const reasons = fc.constantFrom<CancelReason>('endpoint_deleted', 'endpoint_disabled');
    const withCancellation = disturbed.chain(({ history, log }) =>
      fc.record({
        history: fc.constant(history),
        log: fc
          .tuple(fc.integer({ min: 1, max: history.length }), reasons, fc.nat())
          .map(([attempt, reason, place]) =>
            log.toSpliced(place % (log.length + 1), 0, {
              ...key,
              type: 'DeliveryCancelled',
              attempt,
              at: 300,
              reason,
            }),
          ),
      }),
    );
    fc.assert(
      fc.property(withCancellation, ({ history, log }) => {
        const state = fold(log);
        const undisturbed = fold(history);
        expect(isSettled(state)).toBe(true);
        expect(state.status === 'delivered').toBe(undisturbed.status === 'delivered');
      }),
      { numRuns: 2_000 },
    );
  });

  it('is at no time both settled and scheduled, and its attempts never become fewer', () => {
    fc.assert(
      fc.property(disturbed, ({ history, log }) => {
        let state = pendingDelivery;
        for (const event of log) {
          const next = evolve(state, event);
          expect(next.attempts).toBeGreaterThanOrEqual(state.attempts);
          expect('nextAttemptAt' in next && 'settledAt' in next).toBe(false);
          if (isSettled(state)) expect('nextAttemptAt' in next).toBe(false);
          state = next;
        }
        expect(attemptOwed(state)).toBe(history.length + 1);
      }),
      { numRuns: 2_000 },
    );
  });

  it('by requests for further attempts counts them on, is what the last came to, and stays delivered once it is', () => {
    const outcomes = fc.array(anyOutcome, { minLength: 1, maxLength: 3 });
    const runs = fc.tuple(
      anyHistory.filter((history) => isSettled(fold(history))),
      outcomes,
      fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 12 }),
    );
    fc.assert(
      fc.property(runs, ([history, asked, repeats]) => {
        const log: DeliveryEvent[] = [...history];
        let wasDelivered = fold(history).status === 'delivered';
        for (const outcome of asked) {
          const attempt = attemptOwed(fold(log));
          const before = fold(log);
          const request: DeliveryRequested = {
            ...{ ...key, trigger: 'resend' },
            type: 'DeliveryRequested',
            attempt,
            at: 400,
            by: 'key_1',
          };
          expect(evolve(before, request)).toBe(before);
          const policy: RetryPolicy = { scheduleSeconds: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] };
          const decision = decide({ outcome, attempt, isRequested: true, policy, now: 500, random: 0 });
          expect(decision.kind).not.toBe('retry');
          log.push(request, { ...attempted(attempt, 480, outcome, policy, 0), trigger: 'resend', decision });
          wasDelivered ||= decision.kind === 'delivered';
          expect(fold(log).attempts).toBe(attempt);
          expect(fold(log).status).toBe(wasDelivered ? 'delivered' : decision.kind);
        }
        const disturbed = [...log];
        for (const [which, place] of repeats) {
          // What is told again is told later.
          const at = which % log.length;
          const from = disturbed.lastIndexOf(log[at] as DeliveryEvent) + 1;
          disturbed.splice(from + (place % (disturbed.length - from + 1)), 0, log[at] as DeliveryEvent);
        }
        expect(fold(disturbed)).toEqual(fold(log));
      }),
      { numRuns: 2_000 },
    );
  });
});
