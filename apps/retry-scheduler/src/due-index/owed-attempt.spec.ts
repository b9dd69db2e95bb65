import { describe, expect, it } from '@jest/globals';
import { type DeliveryEvent, isRequested } from '@posthaste/contracts';
import { attemptOwed, type DeliveryState, evolve, isSettled, pendingDelivery } from '@posthaste/delivery';
import fc from 'fast-check';
import { attempted, cancelled, deferred, deliveryOf, requested, sampleMessage } from '../sample-facts.js';
import { type OwedAttempt, owedAfter } from './owed-attempt.js';

const message = sampleMessage();
const given = (...events: DeliveryEvent[]): OwedAttempt | null =>
  events.reduce<OwedAttempt | null>((owed, event) => owedAfter(owed, event, 0), null);

describe('what a delivery is owed', () => {
  it('is the next attempt at the decided time after a failure', () => {
    expect(given(attempted(message, 2, { kind: 'retry', at: 5_000 }))).toMatchObject({
      delivery: deliveryOf(message),
      attempt: 3,
      dueAt: 5_000,
      trigger: 'retry',
      reason: null,
    });
  });

  it('is the same attempt, for the same reason, at the later time after a deferral', () => {
    expect(given(deferred(message, 1, 7_000))).toMatchObject({
      attempt: 1,
      dueAt: 7_000,
      trigger: 'publish',
      reason: 'lane_full',
    });
    const twice = given(attempted(message, 1, { kind: 'retry', at: 5_000 }), deferred(message, 2, 9_000));
    expect(twice).toMatchObject({ attempt: 2, dueAt: 9_000 });
  });

  it('is nothing once it is delivered, exhausted or cancelled', () => {
    const failed = attempted(message, 1, { kind: 'retry', at: 5_000 });
    expect(given(failed, attempted(message, 2, { kind: 'delivered' }))).toBeNull();
    expect(given(failed, attempted(message, 2, { kind: 'exhausted' }))).toBeNull();
    expect(given(failed, cancelled(message, 2))).toBeNull();
  });

  it('is not changed by the copy of an attempt', () => {
    const real = attempted(message, 1, { kind: 'retry', at: 5_000 });
    const owed = given(real);
    const copy: DeliveryEvent = { ...real, type: 'ShadowAttempted', url: '', outcome: 'succeeded' };
    for (const before of [null, owed]) expect(owedAfter(before, copy, 0)).toBe(before);
  });

  it('is not changed by a late report about an earlier attempt, unless that was a success', () => {
    const history = [
      attempted(message, 1, { kind: 'retry', at: 5_000 }),
      attempted(message, 2, { kind: 'retry', at: 9_000 }),
    ];
    for (const late of [
      attempted(message, 1, { kind: 'retry', at: 6_000 }),
      attempted(message, 2, { kind: 'retry', at: 9_500 }),
      attempted(message, 1, { kind: 'exhausted' }),
      deferred(message, 2, 99_000),
    ]) {
      expect(given(...history, late)).toMatchObject({ attempt: 3, dueAt: 9_000 });
    }
    expect(given(...history, attempted(message, 1, { kind: 'delivered' }))).toBeNull();
  });
});

/** Anything at all about attempts 1 to 4: what dispatchers write, what comes twice, what zombies add late. */
const anyEvent: fc.Arbitrary<DeliveryEvent> = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 11 }))
  .map(([attempt, time, kind]) => {
    if (kind === 0) return attempted(message, attempt, { kind: 'delivered' });
    if (kind === 1) return attempted(message, attempt, { kind: 'exhausted' });
    if (kind === 2) return cancelled(message, attempt);
    if (kind === 10) return attempted(message, attempt, { kind: 'cancelled', reason: 'endpoint_gone' });
    if (kind === 11) return attempted(message, attempt, { kind: 'delivered', endpointGone: true });
    if (kind <= 5) return deferred(message, attempt, time);
    return attempted(message, attempt, { kind: 'retry', at: time });
  });

const isReleasable = (owed: OwedAttempt, state: DeliveryState): boolean =>
  !isSettled(state) && state.attempts < owed.attempt;

describe('the due index beside the history of the same log', () => {
  it('loses no attempt and releases none that is not owed, whatever is reported late, twice or out of order', () => {
    const steps = fc.array(
      fc.oneof({ weight: 3, arbitrary: anyEvent }, { weight: 1, arbitrary: fc.constant('release' as const) }),
      {
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(steps, (sequence) => {
        let owed: OwedAttempt | null = null;
        let state: DeliveryState = pendingDelivery;
        // What history says is owed has been handed over already.
        let inFlight = false;
        for (const step of sequence) {
          if (step === 'release') {
            if (owed !== null && isReleasable(owed, state)) {
              expect(owed.attempt).toBe(attemptOwed(state));
              inFlight = true;
            }
            owed = null;
            continue;
          }
          const next = evolve(state, step);
          if (next !== state) inFlight = false;
          state = next;
          owed = owedAfter(owed, step, 0);
          if ('nextAttemptAt' in state && !inFlight) {
            expect(owed).toMatchObject({ attempt: attemptOwed(state), dueAt: state.nextAttemptAt });
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('an attempt that somebody asked for', () => {
  const settled = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom('delivered', 'exhausted', 'cancelled'))
    .map(([failures, end]): DeliveryEvent[] => {
      const retries = Array.from({ length: failures }, (_, i) =>
        attempted(message, i + 1, { kind: 'retry', at: 5_000 }),
      );
      const last = failures + 1;
      if (end === 'cancelled') return [...retries, cancelled(message, last)];
      return [...retries, attempted(message, last, { kind: end === 'delivered' ? end : 'exhausted' })];
    });
  const decisions = fc.constantFrom<'delivered' | 'exhausted'>('delivered', 'exhausted');

  it('is owed whatever came before, and is not owed again once it was made, whatever is told twice or late', () => {
    fc.assert(
      fc.property(settled, decisions, fc.array(fc.nat(), { maxLength: 12 }), (past, kind, dice) => {
        const number = past.filter(({ type }) => type === 'DeliveryAttempted').length + 1;
        const request = requested(message, number);
        const later = { ...deferred(message, number, 9_000), trigger: request.trigger };
        // A cancellation told again after the request cannot be told from a new one, and ends it.
        const late = [...past.filter(({ type }) => type !== 'DeliveryCancelled'), request, later];
        const made = attempted(message, number, { kind });
        let owed = [...past, request].reduce<OwedAttempt | null>((o, e) => owedAfter(o, e, 0), null);
        let state = [...past, request].reduce(evolve, pendingDelivery);
        for (const [i, throwOf] of dice.entries()) {
          if (i === 6) {
            owed = owedAfter(owed, made, 0);
            state = evolve(state, { ...made, trigger: request.trigger });
            expect(owed).toBeNull();
          }
          const event = late[throwOf % late.length] as DeliveryEvent;
          owed = owedAfter(owed, event, 0);
          state = evolve(state, event);
          if (i < 6) {
            expect(owed).toMatchObject({ attempt: number, trigger: 'resend' });
            expect(state.attempts).toBe(number - 1);
          } else if (owed !== null && isRequested(owed.trigger)) {
            // The release asks history, and drops it.
            expect(state.attempts).toBeGreaterThanOrEqual(owed.attempt);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('goes in its order when it is what blocks its key, and out of order otherwise', () => {
    const ordering = { key: 'k', position: 7 };
    const blocking = {
      ...attempted(message, 2, { kind: 'exhausted' }),
      ordering: { ...ordering, blocks: true as const },
    };
    expect(given(blocking, requested(message, 3))).toMatchObject({
      attempt: 3,
      trigger: 'resend',
      ordering: { ...ordering, blocks: false },
    });
    const passed = { ...attempted(message, 2, { kind: 'exhausted' }), ordering };
    expect(given(passed, requested(message, 3))).toMatchObject({ attempt: 3, ordering: null });
  });

  it('is cancelled like any other', () => {
    expect(given(requested(message, 2), cancelled(message, 2))).toBeNull();
  });
});
