import { describe, expect, it } from '@jest/globals';
import { costOf, costPerDelivery, cpuSecondsOf, holdingsOf } from './process-cost.js';

describe('what a process costs', () => {
  it('is read after the name, which may hold spaces and brackets', () => {
    const stat = '42 (post) gres: x) S 1 42 42 0 -1 4194560 901 0 0 0 150 50 1000 200 20 0 1 0 12345 0 0';
    expect(cpuSecondsOf(stat, false)).toBe(2);
    expect(cpuSecondsOf(stat, true)).toBe(14);
  });

  it('is nothing for a process that is gone, and memory for this one', () => {
    expect(costOf(2 ** 22 + 1, true)).toEqual({ cpuSeconds: 0, peakRssMb: 0 });
    if (process.platform === 'linux') expect(costOf(process.pid, false).peakRssMb).toBeGreaterThan(10);
  });

  it('is told by what was delivered meanwhile, the whole product together', () => {
    const before = { dispatcher: { cpuSeconds: 1, peakRssMb: 90 } };
    const after = {
      dispatcher: { cpuSeconds: 2, peakRssMb: 100 },
      postgres: { cpuSeconds: 0.5, peakRssMb: 300 },
    };
    expect(costPerDelivery(before, after, 2_000)).toEqual({
      cpuMsPerDelivery: 0.75,
      processes: {
        dispatcher: { cpuSecondsPer1000: 0.5, peakRssMb: 100 },
        postgres: { cpuSecondsPer1000: 0.25, peakRssMb: 300 },
      },
    });
  });

  it('holds nothing once it is gone', () => {
    expect(holdingsOf(2 ** 22 + 1)).toEqual({ rssMb: 0, sockets: 0 });
  });
});
