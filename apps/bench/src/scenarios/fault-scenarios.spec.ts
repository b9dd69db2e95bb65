import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { faultScenarioNames, faultScenarioOf, turnsOf } from './fault-scenarios.js';
import { Sizes } from './scenarios.js';

describe('turns', () => {
  it('give each group its share of the rate at any time, and each member its turn', () => {
    const rate = fc.integer({ min: 1, max: 12 }).map((tens) => tens * 10);
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(rate, rate, size, size, (healthyRate, troubledRate, healthySize, troubledSize) => {
        const healthy = Array.from({ length: healthySize }, (_, i) => `h${i}`);
        const troubled = Array.from({ length: troubledSize }, (_, i) => `t${i}`);
        const turns = turnsOf(healthy, troubled, { healthy: healthyRate, troubled: troubledRate });
        expect(new Set(turns.map(({ member }) => member)).size).toBe(healthySize + troubledSize);
        let seen = 0;
        turns.forEach(({ isTroubled }, i) => {
          if (isTroubled) seen++;
          const fair = ((i + 1) * troubledRate) / (healthyRate + troubledRate);
          expect(Math.abs(seen - fair)).toBeLessThan(1);
        });
      }),
    );
  });

  it('are those of the healthy alone when nobody else has a rate', () => {
    const turns = turnsOf(['a', 'b'], [], { healthy: 100, troubled: 0 });
    expect(turns.map(({ member }) => member)).toEqual(['a', 'b']);
  });
});

describe('fault scenarios', () => {
  it.each(faultScenarioNames)('%s begins with a run in which everyone answers', (name) => {
    const [first, ...others] = faultScenarioOf(name, new Sizes(1)).runs;
    expect(first?.troubled?.behaviour ?? 'prompt').toBe('prompt');
    expect(others.some(({ troubled }) => troubled?.behaviour !== 'prompt')).toBe(true);
  });

  it('can be made smaller, and keep their halves', () => {
    const { runs } = faultScenarioOf('recovery', new Sizes(1, { count: 900 }));
    expect(runs.map(({ count }) => count)).toEqual([900, 900]);
    expect(runs[1]?.troubled?.backFrom).toBe(450);
    expect(faultScenarioOf('recovery', new Sizes(1)).runs[1]?.troubled?.backFrom).toBe(36_000);
  });

  it('shrink with the scale, down to one message and one account', () => {
    const [, storm] = faultScenarioOf('retry-storm', new Sizes(0.05)).runs;
    expect(storm).toMatchObject({
      count: 1_800,
      troubled: { accounts: 3, endpointsEach: 20, backFrom: 900 },
    });
    const [first] = faultScenarioOf('isolation', new Sizes(1e-9)).runs;
    expect(first?.count).toBe(1);
    expect(faultScenarioOf('retry-storm', new Sizes(1e-9)).runs[0]?.troubled?.accounts).toBe(1);
  });
});
