import { beforeEach, describe, expect, it } from '@jest/globals';
import type { DeliveryAttempted } from '@posthaste/contracts';
import { attempted, sampleMessage } from '../sample-facts.js';
import { handOverLimits, HandOverPace } from './hand-over-pace.js';

let nowMs: number;
let pace: HandOverPace;
beforeEach(() => {
  nowMs = 1_000;
  pace = new HandOverPace(() => nowMs);
});

const message = sampleMessage();
const waited = (waitMs: number, change: Partial<DeliveryAttempted> = {}): DeliveryAttempted => ({
  ...attempted(message, 1, { kind: 'delivered' }),
  startedAt: message.meta.at + waitMs,
  ...change,
});

interface NewMessages {
  /** 100 at most. */
  perSecond: number;
  waitMs: (ratePerSecond: number) => number;
}

/** Time passes in steps of 10 ms, and what may be handed over is, at once. Answers how much that was. */
function pass(seconds: number, owed: number, newMessages?: NewMessages): number {
  let handed = 0;
  for (let step = 0; step < seconds * 100; step++) {
    nowMs += 10;
    if (newMessages && step % (100 / newMessages.perSecond) === 0)
      pace.notice(waited(newMessages.waitMs(pace.rate)));
    while (handed < owed) {
      const room = Math.min(pace.room(100), owed - handed);
      if (room === 0) break;
      pace.spend(room);
      handed += room;
    }
  }
  return handed;
}

describe('the pace of hand-over', () => {
  it('lets what comes in small numbers go at once, after any rest', () => {
    expect(pace.room(100)).toBe(100);
    pace.spend(100);
    expect(pace.room(100)).toBe(0);
    nowMs += 500;
    expect(pace.room(100)).toBe(100);
    expect(pace.room(30)).toBe(30);
  });

  it('waits for a batch that is worth its transaction, as long as it says', () => {
    pace.spend(pace.room(100));
    const waitMs = pace.msUntilRoom();
    expect(waitMs).toBe(50);
    nowMs += waitMs - 1;
    expect(pace.room(100)).toBe(0);
    nowMs += 1;
    expect(pace.room(100)).toBe(10);
    expect(pace.msUntilRoom()).toBe(0);
  });

  it('doubles each second with nobody to disturb, to an end', () => {
    expect(pass(4, 1e9)).toBeGreaterThan(200 + 400 + 800 + 1_600 - 300);
    pass(20, 1e9);
    expect(pace.rate).toBe(handOverLimits.mostPerSecond);
  });

  it('settles where new messages wait no longer than twice of what they do of themselves', () => {
    // A machine on which each attempt a second above 500 costs 0.2 ms of waiting.
    const waitMs = (rate: number): number => 15 + Math.max(0, rate - 500) * 0.2;
    pass(10, 0, { perSecond: 100, waitMs });
    const handed = pass(60, 1e9, { perSecond: 100, waitMs });
    expect(pace.rate).toBeGreaterThan(250);
    expect(waitMs(pace.rate)).toBeLessThan(2 * 15 + 0.2 * 60);
    expect(handed).toBeGreaterThan(60 * 300);
  });

  it('never falls below its least, nor below a quarter of new messages', () => {
    pass(3, 0, { perSecond: 100, waitMs: () => 10 });
    pass(20, 1e9, { perSecond: 50, waitMs: () => 900 });
    expect(pace.rate).toBe(handOverLimits.leastPerSecond);
    for (let second = 0; second < 3; second++) {
      for (let i = 0; i < 2_000; i++) pace.notice(waited(900));
      nowMs += 1_000;
      pace.room(100);
    }
    expect(pace.rate).toBeCloseTo(500, -1);
  });

  it('goes by what new messages wait on their own: a slow machine is not one that is disturbed', () => {
    const handed = pass(20, 1e9, { perSecond: 100, waitMs: () => 400 });
    expect(pace.rate).toBeGreaterThan(1_000);
    expect(handed).toBeGreaterThan(10_000);
  });

  it('sinks to where it began while it holds nothing back', () => {
    pass(8, 1e9);
    expect(pace.rate).toBeGreaterThan(5_000);
    pass(60, 0, { perSecond: 100, waitMs: () => 10 });
    expect(pace.rate).toBe(handOverLimits.firstPerSecond);
  });

  it.each<[string, DeliveryAttempted]>([
    ['a retry', waited(900, { attempt: 2, trigger: 'retry' })],
    ['what somebody asked for', waited(900, { trigger: 'backfill' })],
    ['a first attempt that was put off', waited(60_000)],
  ])('does not take %s for a new message', (_, event) => {
    pass(3, 0, { perSecond: 100, waitMs: () => 10 });
    const before = pace.rate;
    for (let i = 0; i < 100; i++) pace.notice(event);
    pass(1, 1e9, { perSecond: 100, waitMs: () => 10 });
    expect(pace.rate).toBeGreaterThan(before);
  });
});
