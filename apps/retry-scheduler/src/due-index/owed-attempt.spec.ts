import { describe, expect, it } from '@jest/globals';
import type { DeliveryEvent } from '@posthaste/contracts';
import { attemptOwed, type DeliveryState, evolve, isSettled, pendingDelivery } from '@posthaste/delivery';
import fc from 'fast-check';
import { attempted, cancelled, deferred, deliveryOf, sampleMessage } from '../sample-facts.js';
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
