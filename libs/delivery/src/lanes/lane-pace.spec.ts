import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { LaneReason } from './lane-answer.js';
import { LanePace, paceLimits } from './lane-pace.js';

/** A lane, a clock, and the deliveries on their way. */
class Lane {
  readonly pace = new LanePace();
  now = 0;
  underway: string[] = [];
  private count = 0;

  /** Releases all that the window allows; answers how many that was. */
  fill(): number {
    const room = this.pace.room(this.now);
    for (let n = 0; n < room; n++) this.release();
    return room;
  }

  release(): string {
    const delivery = `d${this.count++}`;
    this.pace.release(delivery, this.now);
    this.underway.push(delivery);
    return delivery;
  }

  /** A round: fills the window, and half a second later the lane takes so many and turns the others away. */
  round(takes: number, reason: LaneReason = 'lane_full'): number {
    const released = this.fill();
    this.now += 500;
    for (const [i, delivery] of this.underway.splice(0).entries()) {
      if (i < takes) this.pace.succeeded(delivery);
      else this.bounce(delivery, reason);
    }
    return released;
  }

  bounce(delivery: string, reason: LaneReason, forMs = 5_000): boolean {
    return this.pace.bounced(delivery, reason, this.now + forMs, this.now);
  }
}

describe("a lane's pace", () => {
  it('begins with 20 and doubles with each round that is taken whole, up to what dispatchers can hold', () => {
    const lane = new Lane();
    const rounds = Array.from({ length: 9 }, () => lane.round(Infinity));
    expect(rounds).toEqual([20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
  });

  it('halves once for a round, however much of it is turned away, and then adds one a round', () => {
    const lane = new Lane();
    lane.round(Infinity);
    // 15 successes came before the cut: half of 55.
    const rounds = [lane.round(15), ...Array.from({ length: 4 }, () => lane.round(Infinity))];
    expect(rounds).toEqual([40, 27, 28, 29, 30]);
  });

  it('follows what a lane takes: seldom more than twice of it, seldom less than half', () => {
    const lane = new Lane();
    const released = Array.from({ length: 60 }, () => lane.round(30)).slice(10);
    expect(Math.min(...released)).toBeGreaterThanOrEqual(15);
    expect(Math.max(...released)).toBeLessThanOrEqual(60);
  });

  it('does not grow while it is not used: that would prove nothing', () => {
    const lane = new Lane();
    for (let n = 0; n < 100; n++) lane.pace.succeeded(lane.release());
    expect(lane.fill()).toBe(20);
  });

  it('stays when attempts fail: the lane took them', () => {
    const lane = new Lane();
    for (let n = 0; n < 5; n++) {
      expect(lane.fill()).toBe(20);
      for (const delivery of lane.underway.splice(0)) lane.pace.failed(delivery);
    }
  });

  it('stays when a delivery comes back for no reason of the lane', () => {
    const lane = new Lane();
    expect(lane.fill()).toBe(20);
    for (const delivery of lane.underway.splice(0)) lane.pace.returned(delivery);
    expect(lane.fill()).toBe(20);
  });

  it('probes with one delivery when the breaker allows it, and grows from there by doubling', () => {
    const lane = new Lane();
    lane.fill();
    lane.bounce('d0', 'breaker_open', 30_000);
    expect(lane.pace.room(29_999)).toBe(0);
    expect(lane.pace.roomAtMs(29_999)).toBe(30_000);
    for (const delivery of lane.underway.splice(1)) lane.pace.failed(delivery);
    lane.now = 30_000;
    const rounds = Array.from({ length: 5 }, () => lane.round(Infinity));
    expect(rounds).toEqual([1, 2, 4, 8, 16]);
  });

  it.each([
    ['breaker_open', true],
    ['rate_limited', false],
  ] as const)('held by %s, is let go by a success of a fresh publish: %s', (reason, isLetGo) => {
    const lane = new Lane();
    // Set by a fresh publish too: it was not released from here.
    expect(lane.bounce('fresh', reason, 10_000)).toBe(false);
    expect(lane.pace.room(0)).toBe(0);
    lane.pace.failed('other');
    expect(lane.pace.room(0)).toBe(0);
    lane.pace.succeeded('other');
    expect(lane.pace.room(0) > 0).toBe(isLetGo);
    expect(lane.pace.room(10_000)).toBeGreaterThan(0);
  });

  it('is not held longer by a stream of fresh publishes that are turned away', () => {
    const lane = new Lane();
    for (; lane.now < 5_000; lane.now += 100) lane.bounce(`fresh${lane.now}`, 'rate_limited', 5_000);
    expect(lane.pace.room(5_000)).toBe(20);
  });

  it('waits when even one was too much, until the lane finishes an attempt or the time has come', () => {
    const lane = new Lane();
    expect(Array.from({ length: 6 }, () => lane.round(0))).toEqual([20, 10, 5, 2, 1, 0]);
    lane.pace.failed('other');
    expect(lane.round(0)).toBe(1);
    expect(lane.fill()).toBe(0);
    lane.now += 5_000;
    expect(lane.fill()).toBe(1);
  });

  it('takes what is never answered for turned away', () => {
    const lane = new Lane();
    expect(lane.fill()).toBe(20);
    expect(lane.pace.roomAtMs(0)).toBe(paceLimits.answerWithinMs);
    expect(lane.pace.isIdle(59_999)).toBe(false);
    lane.now = 60_000;
    expect(lane.fill()).toBe(10);
  });

  it('gives back the room of what was not released after all', () => {
    const lane = new Lane();
    lane.fill();
    lane.pace.forget('d7');
    expect(lane.fill()).toBe(1);
  });

  it('is never held for long by a clock that is wrong', () => {
    const lane = new Lane();
    lane.bounce('fresh', 'rate_limited', 3_600_000);
    expect(lane.pace.roomAtMs(0)).toBe(paceLimits.holdMs);
  });

  it('never has more on its way than its window, and never a window below one, whatever happens', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('fill' as const) }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.nat(40_000) }),
      fc.record({
        do: fc.constantFrom('succeed' as const, 'fail' as const, 'return' as const, 'forget' as const),
        which: fc.nat(),
      }),
      fc.record({
        do: fc.constant('bounce' as const),
        which: fc.nat(),
        isOurs: fc.boolean(),
        forMs: fc.nat(90_000),
        reason: fc.constantFrom<LaneReason>('lane_full', 'lane_slow', 'rate_limited', 'breaker_open'),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const lane = new Lane();
        const releasedAt = new Map<string, number>();
        const open = (): string[] =>
          lane.underway.filter((d) => lane.now - (releasedAt.get(d) ?? 0) < paceLimits.answerWithinMs);
        for (const one of steps) {
          const isNamed = 'which' in one && lane.underway.length > 0 && !('isOurs' in one && !one.isOurs);
          const named = isNamed
            ? (lane.underway.splice(one.which % lane.underway.length, 1)[0] ?? 'fresh')
            : 'fresh';
          if (one.do === 'wait') lane.now += one.ms;
          else if (one.do === 'succeed') lane.pace.succeeded(named);
          else if (one.do === 'fail') lane.pace.failed(named);
          else if (one.do === 'return') lane.pace.returned(named);
          else if (one.do === 'forget') lane.pace.forget(named);
          else if (one.do === 'bounce') lane.bounce(named, one.reason, one.forMs);
          else {
            const before = lane.underway.length;
            const wasOpen = open().length;
            const released = lane.fill();
            for (const delivery of lane.underway.slice(before)) releasedAt.set(delivery, lane.now);
            // A second look must find no room: what was just released counts.
            expect(lane.pace.room(lane.now)).toBe(0);
            expect(released === 0 || wasOpen + released <= paceLimits.most).toBe(true);
          }
        }
        // After a minute without answers every hold is over and nothing is open: there is always a window.
        lane.now += Math.max(paceLimits.answerWithinMs, paceLimits.holdMs);
        const room = lane.pace.room(lane.now);
        expect(room).toBeGreaterThanOrEqual(1);
        expect(room).toBeLessThanOrEqual(paceLimits.most);
      }),
      { numRuns: 300 },
    );
  });
});
