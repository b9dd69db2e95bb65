import { describe, expect, it } from '@jest/globals';
import { type Crash, type Histories, judge, type Violation } from './oracle.js';

/** Two messages to two endpoints, one of them retried once, one publish without an answer. */
function honest(): Histories {
  const received = ['m1', 'm2'].flatMap((message) =>
    ['e1', 'e2'].map((endpoint) => ({
      endpoint,
      message,
      bodySha256: `hash of ${message}`,
      signatureIsValid: true,
      status: 200,
      at: 100,
    })),
  );
  const deliveries = received.map(({ message, endpoint }) => ({
    id: `${message} to ${endpoint}`,
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

function rulesBroken(plant: (histories: Histories) => void, crashes: Crash[] = []): Violation['rule'][] {
  const histories = honest();
  plant(histories);
  return [...new Set(judge(histories, crashes).violations.map(({ rule }) => rule))];
}

function at<T>(items: T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}

describe('the oracle', () => {
  it('finds nothing in an honest run, and counts no duplicates in it', () => {
    expect(judge(honest(), [])).toEqual({ violations: [], duplicates: 0, repeated: [] });
  });

  it('accepts an unanswered publish that did arrive, whole', () => {
    const arrived = { ...at(honest().received, 1), message: 'm3', bodySha256: 'hash of m3' };
    const broken = rulesBroken(({ received, deliveries }) => {
      received.push({ ...arrived, endpoint: 'e1' });
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
    [
      'an attempt lost from the list',
      ['gap', 'duplicates'],
      ({ deliveries }) => at(deliveries, 0).attempts.pop(),
    ],
    ['an attempt counted twice', ['gap'], ({ deliveries }) => at(deliveries, 3).attemptCount++],
    [
      'a delivery without the attempt that delivered it',
      ['gap'],
      ({ deliveries }) => (at(deliveries, 3).attempts = [{ number: 1, outcome: 'failed' }]),
    ],
  ])('convicts a run with %s', (_, rules, plant) => {
    expect(rulesBroken(plant).sort()).toEqual([...rules].sort());
  });

  describe('over attempts made again', () => {
    const later =
      (count: number, status = 200) =>
      ({ received }: Histories): void => {
        for (let n = 1; n <= count; n++) received.push({ ...at(received, 4), status, at: 100 + n * 100 });
      };
    const first = { from: 140, to: 160 };
    const second = { from: 240, to: 260 };

    it.each<[string, Violation['rule'][], (histories: Histories) => void, Crash[]]>([
      ['explains one by a crash in between', [], later(1), [first]],
      ['explains two by two crashes', [], later(2), [first, second]],
      ['does not explain two by one crash', ['duplicates'], later(2), [first]],
      ['does not explain one by a crash before', ['duplicates'], later(1), [{ from: 50, to: 60 }]],
      ['does not explain one by a crash after', ['duplicates'], later(1), [second]],
      ['does not explain one that failed, either', ['duplicates'], later(1, 503), [second]],
    ])('%s', (_, rules, plant, crashes) => {
      expect(rulesBroken(plant, crashes)).toEqual(rules);
    });

    it('explains that each of two attempts was made again after one crash, and no more', () => {
      const retriedTwice =
        (times: number[]) =>
        ({ received }: Histories): void =>
          times.forEach((time) => received.push({ ...at(received, 1), at: time }));
      // The honest run asked twice: it failed, then succeeded.
      expect(rulesBroken(retriedTwice([200, 210]), [first])).toEqual([]);
      expect(rulesBroken(retriedTwice([200, 210, 220]), [first])).toEqual(['duplicates']);
    });

    it('accepts one more attempt of what had succeeded where somebody asked for it, and no more than that', () => {
      const askedFor =
        (requests: number) =>
        (histories: Histories): void => {
          later(requests)(histories);
          const delivery = at(histories.deliveries, 3);
          for (let n = 1; n <= requests; n++) {
            delivery.attempts.push({ number: n + 1, outcome: 'succeeded', isRequested: n === 1 });
          }
          delivery.attemptCount = requests + 1;
        };
      expect(rulesBroken(askedFor(1))).toEqual([]);
      expect(rulesBroken(askedFor(2))).toEqual(['duplicates']);
    });

    it('convicts a delivery that was tried under another number although it had succeeded', () => {
      const broken = rulesBroken(
        (histories) => {
          later(1)(histories);
          const delivery = at(histories.deliveries, 3);
          delivery.attempts.push({ number: 2, outcome: 'succeeded' });
          delivery.attemptCount = 2;
        },
        [first],
      );
      expect(broken).toEqual(['duplicates']);
    });

    it('names the deliveries and counts the answers', () => {
      const histories = honest();
      later(1)(histories);
      const { duplicates, repeated } = judge(histories, [first]);
      expect(duplicates).toBe(1);
      expect(repeated.map(({ id }) => id)).toEqual(['m2 to e2']);
    });
  });
});
