import { readdirSync } from 'node:fs';
import os from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { commitToDisk } from './disk-commits.js';

const folders = (): string[] =>
  readdirSync(os.tmpdir()).filter((name) => name.startsWith('posthaste-commits-'));

describe('committing with no database', () => {
  it.each([
    ['as many at a time as are allowed', { inFlight: 8 }],
    ['at a rate', { perSecond: 500 }],
  ])('takes a time of its own for each commit, %s, and leaves nothing behind', async (_, pace) => {
    const before = folders();
    const { tookMs, seconds } = await commitToDisk(40, pace);
    expect(tookMs).toHaveLength(40);
    expect(tookMs.every((ms) => ms > 0 && ms < seconds * 1_000)).toBe(true);
    expect(folders()).toEqual(before);
  });
});
