import { describe, expect, it } from '@jest/globals';
import { slopeOf } from './run-soak.js';

describe('the slope of memory', () => {
  it('is that of the line through what was seen', () => {
    const looks = [0, 1, 2, 3].map((atMinutes) => ({ atMinutes, mb: 100 + 2.5 * atMinutes }));
    expect(slopeOf(looks)).toBeCloseTo(2.5, 9);
  });

  it('is flat for what goes up and down, and for a single look', () => {
    const saw = [0, 1, 2, 3, 4].map((atMinutes) => ({ atMinutes, mb: atMinutes % 2 === 0 ? 100 : 140 }));
    expect(slopeOf(saw)).toBeCloseTo(0, 9);
    expect(slopeOf([{ atMinutes: 3, mb: 100 }])).toBe(0);
  });
});
