import { describe, expect, it } from '@jest/globals';
import { Arrivals } from './arrivals.js';

describe('arrivals', () => {
  it('count a message once and its repeats as duplicates, and know what never came', () => {
    const arrivals = new Arrivals({ messages: 4, endpoints: 1 });
    arrivals.take({ seq: 2, sentAtMs: 100 }, 0, 105);
    arrivals.take({ seq: 2, sentAtMs: 100 }, 0, 900);
    arrivals.take({ seq: 0, sentAtMs: 100 }, 0, 120);
    expect(arrivals.report([])).toMatchObject({
      received: 3,
      distinct: 2,
      duplicates: 1,
      missing: [1, 3],
      firstReceivedAtMs: 105,
      lastReceivedAtMs: 120,
      endToEndMs: { count: 2, p50: 5, max: 20 },
    });
  });

  it('tell the endpoints of a message apart, and which of them it never reached', () => {
    const arrivals = new Arrivals({ messages: 2, endpoints: 3 });
    for (const endpoint of [0, 2, 2]) arrivals.take({ seq: 1, sentAtMs: 0 }, endpoint, 5);
    expect(arrivals.report([1])).toMatchObject({
      distinct: 2,
      duplicates: 1,
      missing: [0, 1, 2, 4],
      parts: [{ endToEndMs: { count: 0 } }, { endToEndMs: { count: 2 } }],
    });
  });

  it('tell the parts of a run apart by the number of the message', () => {
    const arrivals = new Arrivals({ messages: 6, endpoints: 1 });
    [50, 10, 20, 30].forEach((now, seq) => arrivals.take({ seq, sentAtMs: 0 }, 0, now));
    const { parts } = arrivals.report([2, 4]);
    expect(parts.map(({ completeAtMs, endToEndMs }) => [completeAtMs, endToEndMs.max])).toEqual([
      [50, 50],
      [30, 30],
      [0, NaN],
    ]);
  });

  it('are waited for until the last distinct one, or until nothing comes', async () => {
    const arrivals = new Arrivals({ messages: 2, endpoints: 1 });
    const order = { receiver: '', partsAt: [], patienceMs: 60_000 };
    let collected = false;
    const waiting = arrivals.whenCollected({ ...order, expected: 2 }).then(() => (collected = true));
    arrivals.take({ seq: 0, sentAtMs: 0 }, 0, 1);
    arrivals.take({ seq: 0, sentAtMs: 0 }, 0, 2);
    await Promise.resolve();
    expect(collected).toBe(false);
    arrivals.take({ seq: 1, sentAtMs: 0 }, 0, 3);
    await waiting;
    await arrivals.whenCollected({ ...order, expected: 3, patienceMs: 1 });
  });
});
