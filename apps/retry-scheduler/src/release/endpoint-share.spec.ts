import { describe, expect, it } from '@jest/globals';
import { EndpointShare } from './endpoint-share.js';

/** How many of `wanted` the share lets through at this time. */
const take = (share: EndpointShare, endpoint: string, atMs: number, wanted = 10_000): number => {
  let taken = 0;
  while (taken < wanted && share.take(endpoint, atMs)) taken++;
  return taken;
};

describe("an endpoint's share of the releases", () => {
  it('lets an endpoint that completes nothing have a few in each second, and no more', () => {
    const share = new EndpointShare();
    for (let second = 0; second < 5; second++) {
      expect(take(share, 'hangs', second * 1_000)).toBe(20);
      expect(share.exhausted(second * 1_000 + 999)).toEqual(['hangs']);
      expect(take(share, 'hangs', second * 1_000 + 999)).toBe(0);
    }
  });

  it('grows while the endpoint completes what it gets, up to what dispatchers can hold, and falls back at once', () => {
    const share = new EndpointShare();
    const taken: number[] = [];
    for (let second = 0; second < 15; second++) {
      const now = second * 1_000;
      const released = take(share, 'healthy', now);
      taken.push(released);
      for (let n = 0; n < released; n++) share.complete('healthy', now + 500);
    }
    expect(taken.slice(0, 4)).toEqual([20, 30, 45, 68]);
    expect(taken.at(-1)).toBe(2_000);
    take(share, 'healthy', 15_000);
    expect(take(share, 'healthy', 16_000)).toBe(20);
  });

  it('follows the rate at which a slow lane completes', () => {
    const share = new EndpointShare();
    let released = 0;
    for (let second = 0; second < 20; second++) {
      released = take(share, 'slow', second * 1_000);
      for (let n = 0; n < 40; n++) share.complete('slow', second * 1_000 + n * 20);
    }
    expect(released).toBe(60);
  });

  it('keeps endpoints apart', () => {
    const share = new EndpointShare({ least: 2, most: 10 });
    expect(take(share, 'a', 0)).toBe(2);
    expect(take(share, 'b', 0, 1)).toBe(1);
    expect(share.exhausted(0)).toEqual(['a']);
  });
});
