import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { messagePosition, POSITION_PATTERN } from './index.js';

const partition = fc.integer({ min: 0, max: 32_767 });
const offset = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

describe('positions', () => {
  it('sort as the records of their partition, and are all of one width', () => {
    fc.assert(
      fc.property(partition, offset, offset, (within, one, other) => {
        const [first, second] = [one, other].map((at) => messagePosition(within, at)) as [string, string];
        expect(first).toMatch(POSITION_PATTERN);
        expect(first < second).toBe(one < other);
        expect(first === second).toBe(one === other);
      }),
    );
  });

  it('grow with each record, also where another digit begins', () => {
    for (const edge of [31, 32, 1_023, 1_024, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      expect(messagePosition(5, edge - 1) < messagePosition(5, edge)).toBe(true);
    }
  });

  it('of two partitions are never the same', () => {
    fc.assert(
      fc.property(partition, partition, offset, offset, (one, other, at, elsewhere) => {
        fc.pre(one !== other);
        expect(messagePosition(one, at)).not.toBe(messagePosition(other, elsewhere));
      }),
    );
  });
});
