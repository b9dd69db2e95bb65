import { describe, expect, it } from '@jest/globals';
import { type Histories, judge, type Violation } from './oracle.js';

/** Two messages to two endpoints, one of them retried once, one publish without an answer. */
function honest(): Histories {
  const received = ['m1', 'm2'].flatMap((message) =>
    ['e1', 'e2'].map((endpoint) => ({
      endpoint,
      message,
      bodySha256: `hash of ${message}`,
      signatureIsValid: true,
      status: 200,
    })),
  );
  const deliveries = received.map(({ message, endpoint }) => ({
    message,
    endpoint,
    status: 'delivered',
    attempts: [{ number: 1, outcome: 'succeeded' }],
    attemptCount: 1,
  }));
  const histories: Histories = {
    published: [
      { idempotencyKey: 'k1', bodySha256: 'hash of m1', result: { kind: 'acknowledged', message: 'm1' } },
      { idempotencyKey: 'k2', bodySha256: 'hash of m2', result: { kind: 'acknowledged', message: 'm2' } },
      { idempotencyKey: 'k3', bodySha256: 'hash of m3', result: { kind: 'indeterminate' } },
      { idempotencyKey: 'k4', bodySha256: 'hash of m4', result: { kind: 'refused', status: 503 } },
    ],
    received,
    deliveries,
    endpoints: ['e1', 'e2'],
  };
  histories.received.unshift({ ...at(received, 0), status: 500 });
  Object.assign(at(deliveries, 0), {
    attempts: [
      { number: 2, outcome: 'succeeded' },
      { number: 1, outcome: 'failed' },
    ],
    attemptCount: 2,
  });
  return histories;
}

const NO_FAULTS = { perDelivery: 0, total: 0 };

function rulesBroken(plant: (histories: Histories) => void, bound = NO_FAULTS): Violation['rule'][] {
  const histories = honest();
  plant(histories);
  return [...new Set(judge(histories, bound).violations.map(({ rule }) => rule))];
}

function at<T>(items: T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}

describe('the oracle', () => {
  it('finds nothing in an honest run, and counts no duplicates in it', () => {
    expect(judge(honest(), NO_FAULTS)).toEqual({ violations: [], duplicates: 0 });
  });

  it('accepts an unanswered publish that did arrive, whole', () => {
    const arrived = { message: 'm3', endpoint: 'e1', bodySha256: 'hash of m3', signatureIsValid: true };
    const broken = rulesBroken(({ received, deliveries }) => {
      received.push({ ...arrived, status: 200 });
      deliveries.push({ ...at(deliveries, 1), message: 'm3' });
      at(deliveries, 4).endpoint = 'e1';
    });
    expect(broken).toEqual([]);
  });

  it.each<[string, Violation['rule'][], (histories: Histories) => void]>([
    ['an arrival dropped', ['lost', 'lied'], ({ received }) => received.pop()],
    ['a delivery missing from the history', ['lost', 'lied'], ({ deliveries }) => deliveries.pop()],
    [
      'a delivery left unsettled for ever',
      ['lost', 'lied'],
      ({ deliveries }) => (at(deliveries, 2).status = 'retrying'),
    ],
    [
      'a success forged after failures only',
      ['lost', 'lied'],
      ({ received }) => (at(received, 3).status = 500),
    ],
    ['a success denied', ['lied'], ({ deliveries }) => (at(deliveries, 1).status = 'exhausted')],
    ['a body altered', ['invented'], ({ received }) => (at(received, 2).bodySha256 = 'another hash')],
    ['a signature broken', ['invented'], ({ received }) => (at(received, 2).signatureIsValid = false)],
    [
      'the bodies of two messages swapped',
      ['invented'],
      ({ received }) => {
        at(received, 1).bodySha256 = 'hash of m2';
        at(received, 3).bodySha256 = 'hash of m1';
      },
    ],
    [
      'a refused message delivered',
      ['invented'],
      ({ received, deliveries }) => {
        received.push({ ...at(received, 1), message: 'm4', bodySha256: 'hash of m4' });
        deliveries.push({ ...at(deliveries, 1), message: 'm4', endpoint: 'e1' });
      },
    ],
    [
      'one publish delivered as two messages',
      ['invented'],
      ({ received, deliveries }) => {
        for (const message of ['m3', 'm3 again']) {
          received.push({ ...at(received, 1), message, bodySha256: 'hash of m3' });
          deliveries.push({ ...at(deliveries, 1), message, endpoint: 'e1' });
        }
      },
    ],
    [
      'a delivery to an endpoint it was not routed to',
      ['invented'],
      ({ received, deliveries }) => {
        received.push({ ...at(received, 1), endpoint: 'e3' });
        deliveries.push({ ...at(deliveries, 1), endpoint: 'e3' });
      },
    ],
    ['a duplicate without a fault', ['duplicates'], ({ received }) => received.push(at(received, 4))],
    [
      'an attempt number skipped',
      ['gap'],
      ({ deliveries }) => (at(deliveries, 1).attempts = [{ number: 2, outcome: 'succeeded' }]),
    ],
    ['an attempt lost from the list', ['gap'], ({ deliveries }) => at(deliveries, 0).attempts.pop()],
    ['an attempt counted twice', ['gap'], ({ deliveries }) => at(deliveries, 3).attemptCount++],
    [
      'a delivery without the attempt that delivered it',
      ['gap'],
      ({ deliveries }) => (at(deliveries, 3).attempts = [{ number: 1, outcome: 'failed' }]),
    ],
  ])('convicts a run with %s', (_, rules, plant) => {
    expect(rulesBroken(plant).sort()).toEqual([...rules].sort());
  });

  it('explains as many duplicates as there were faults, of one delivery and in all', () => {
    const twice = ({ received }: Histories): void => void received.push(at(received, 4), at(received, 3));
    const thrice = ({ received }: Histories): void => void received.push(at(received, 4), at(received, 4));
    expect(rulesBroken(twice, { perDelivery: 1, total: 2 })).toEqual([]);
    expect(rulesBroken(twice, { perDelivery: 1, total: 1 })).toEqual(['duplicates']);
    expect(rulesBroken(thrice, { perDelivery: 1, total: 2 })).toEqual(['duplicates']);
  });
});
