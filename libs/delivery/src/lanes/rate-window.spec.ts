import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RateWindow } from './rate-window.js';

describe('a rate', () => {
  it('is never exceeded in any period, and never waits longer than it must', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 200 }),
        (count, periodSeconds, gaps) => {
          const rate = new RateWindow({ count, periodSeconds });
          const begun: number[] = [];
          let now = 0;
          for (const gap of gaps) {
            now += gap;
            const waitMs = rate.waitMs(0, now);
            const inPeriod = begun.filter((at) => now - at < periodSeconds * 1_000);
            expect(waitMs === 0).toBe(inPeriod.length < count);
            if (waitMs > 0) expect(now + waitMs).toBe((inPeriod.at(-count) ?? 0) + periodSeconds * 1_000);
            else {
              rate.begin(now);
              begun.push(now);
            }
          }
        },
      ),
    );
  });

  it('says when a request behind others may begin: what begins then is as late as was said', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.nat(30), (count, ahead) => {
        const limit = { count, periodSeconds: 1 };
        const rate = new RateWindow(limit);
        const said = rate.waitMs(ahead, 0);
        let now = 0;
        for (let i = 0; i < ahead; i++) {
          now += rate.waitMs(0, now);
          rate.begin(now);
        }
        expect(now + rate.waitMs(0, now)).toBe(said);
      }),
    );
  });
});
