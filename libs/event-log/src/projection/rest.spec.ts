import { describe, expect, it } from '@jest/globals';
import { restMs } from './rest.js';

describe('the rest of a projection', () => {
  it.each([
    ['four times as long as the transaction took', { tookMs: 50, behindMs: 200 }, 200],
    ['not until the log is ten seconds ahead', { tookMs: 2_000, behindMs: 9_000 }, 1_000],
    ['not at all further behind', { tookMs: 50, behindMs: 10_001 }, 0],
  ])('is %s', (_, transaction, rest) => expect(restMs(transaction)).toBe(rest));
});
