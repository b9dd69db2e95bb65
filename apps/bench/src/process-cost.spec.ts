import { describe, expect, it } from '@jest/globals';
import { costOf, cpuSecondsOf } from './process-cost.js';

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
});
