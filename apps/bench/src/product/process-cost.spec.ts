import { describe, expect, it } from '@jest/globals';
import { costOf, costPerDelivery, cpuSecondsOf, holdingsOf } from './process-cost.js';

describe('what a process costs', () => {
  it('is read after the name, which may hold spaces and brackets', () => {
    const stat = '42 (post) gres: x) S 1 42 42 0 -1 4194560 901 0 0 0 150 50 1000 200 20 0 1 0 12345 0 0';
    expect(cpuSecondsOf(stat, false)).toBe(2);
    expect(cpuSecondsOf(stat, true)).toBe(14);
  });

  it('is nothing for a process that is gone, and memory for this one', () => {
    expect(costOf(2 ** 22 + 1, true)).toMatchObject({ cpuSeconds: 0, peakRssMb: 0 });
    if (process.platform === 'linux') expect(costOf(process.pid, false).peakRssMb).toBeGreaterThan(10);
  });

  it('is told by what was delivered meanwhile, the whole product together', () => {
    const before = { dispatcher: { pid: 7, cpuSeconds: 1, peakRssMb: 90 } };
    const after = {
      dispatcher: { pid: 7, cpuSeconds: 2, peakRssMb: 100 },
      postgres: { pid: 8, cpuSeconds: 0.5, peakRssMb: 300 },
    };
    expect(costPerDelivery(before, after, 2_000)).toEqual({
      cpuMsPerDelivery: 0.75,
      peakRssMb: 400,
      processes: {
        dispatcher: { cpuSecondsPer1000: 0.5, peakRssMb: 100 },
        postgres: { cpuSecondsPer1000: 0.25, peakRssMb: 300 },
      },
    });
  });

  it('counts from nothing in a process that was started meanwhile', () => {
    const before = { dispatcher: { pid: 7, cpuSeconds: 40, peakRssMb: 90 } };
    const after = { dispatcher: { pid: 9, cpuSeconds: 2, peakRssMb: 100 } };
    expect(costPerDelivery(before, after, 1_000).cpuMsPerDelivery).toBe(2);
  });

  it('holds nothing once it is gone', () => {
    expect(holdingsOf(2 ** 22 + 1)).toEqual({ rssMb: 0, sockets: 0 });
  });
});
