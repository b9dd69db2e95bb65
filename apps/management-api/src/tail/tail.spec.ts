import { describe, expect, it } from '@jest/globals';
import { MemoryBroker, MemoryEventLog } from '@posthaste/event-log';
import { followTraffic } from '../proving/tail-clients.js';
import { placeOf, placeText } from './place.js';
import type { TailLimits } from './tail.js';

describe('the tail', () => {
  it.each<TailLimits>([{}, { keptBytes: 6_000, stalledMs: 20 }])(
    'gives everybody every attempt after their place, each account in order, whoever comes, goes and is slow: %p',
    async (limits) => {
      const broker = new MemoryBroker();
      const log = new MemoryEventLog({ broker });
      const ends = await followTraffic({
        ...{ log, limits, steps: 150, comeEvery: 8 },
        disturb: (random) => {
          if (random.below(20) === 0) broker.duplicateFetches(2);
        },
      });
      // The first reader remembers all of this when it may, and next to nothing when it may not.
      expect(ends.includes('behind')).toBe(limits.keptBytes !== undefined);
      await log.close();
    },
    60_000,
  );
});

describe('a place', () => {
  it('is read as it was written, and nothing else is one', () => {
    const place = { atMs: Date.now(), next: [0, 1, 35, 36, 2 ** 53 - 1] };
    expect(placeOf(placeText(place))).toEqual(place);
    for (const text of ['', '1', '1.', 'x.-1', `1.${'z'.repeat(11)}`, '1.2.A'])
      expect(placeOf(text)).toBeNull();
  });
});
