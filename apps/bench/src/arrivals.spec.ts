import { describe, expect, it } from '@jest/globals';
import { Arrivals } from './arrivals.js';

describe('arrivals', () => {
  it('count a message once and its repeats as duplicates, and know what never came', () => {
    const arrivals = new Arrivals(4);
    arrivals.take({ seq: 2, sentAtMs: 100 }, 105);
    arrivals.take({ seq: 2, sentAtMs: 100 }, 900);
    arrivals.take({ seq: 0, sentAtMs: 100 }, 120);
    expect(arrivals.report([])).toMatchObject({
      received: 3,
      distinct: 2,
      duplicates: 1,
      missing: [1, 3],
      lastReceivedAtMs: 120,
      endToEndMs: { count: 2, p50: 5, max: 20 },
    });
  });

  it('tell the parts of a run apart by the number of the message', () => {
    const arrivals = new Arrivals(6);
    [50, 10, 20, 30].forEach((now, seq) => arrivals.take({ seq, sentAtMs: 0 }, now));
    const { parts } = arrivals.report([2, 4]);
    expect(parts.map(({ completeAtMs, endToEndMs }) => [completeAtMs, endToEndMs.max])).toEqual([
      [50, 50],
      [30, 30],
      [0, NaN],
    ]);
  });

  it('are waited for until the last distinct one, or until nothing comes', async () => {
    const arrivals = new Arrivals(2);
    const order = { receiver: '', partsAt: [], patienceMs: 60_000 };
    let collected = false;
    const waiting = arrivals.whenCollected({ ...order, expected: 2 }).then(() => (collected = true));
    arrivals.take({ seq: 0, sentAtMs: 0 }, 1);
    arrivals.take({ seq: 0, sentAtMs: 0 }, 2);
    await Promise.resolve();
    expect(collected).toBe(false);
    arrivals.take({ seq: 1, sentAtMs: 0 }, 3);
    await waiting;
    await arrivals.whenCollected({ ...order, expected: 3, patienceMs: 1 });
  });
});
