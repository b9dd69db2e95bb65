import type { LaneReason } from './lane-answer.js';

/**
 * How fast one lane is handed deliveries: as TCP sends into a network of which it sees nothing but the answers.
 *
 * `window` is how many of the lane's deliveries may be released and not yet answered. What is released beyond what
 * the lane takes comes back as a deferral: work for everyone, and no delivery more.
 *
 * Growing, in two phases, and only while the window is used to the full (else it would grow without proof):
 * - doubling: each success adds one, so the window doubles with each round of answers. A lane begins so, with 20, and
 *   again with 1 after its breaker was open.
 * - creeping: from half the window that was too much, each success adds its share of one, so a round adds one.
 * Shrinking:
 * - turned away: the window is halved, once for a round, and creeps from there. A failed attempt shrinks nothing: the
 *   lane took it.
 * - never answered within a minute: taken for turned away. The answer went to another replica, which sees the lane
 *   better, or the dispatchers are away.
 * - breaker open: the window is 1.
 *
 * Open -> held -> open. A held lane is handed nothing until a time:
 * - by its breaker, until it may be probed; any success of the endpoint ends it.
 * - by its rate limit, until it may send again; nothing ends it sooner.
 * - by history, until it may know the deliveries that are next; nothing ends it sooner.
 * - by bounces, when even one delivery was too much; any finished attempt of the endpoint ends it, for it left a place.
 * What was never released from here, a fresh publish that a lane turned away, begins a hold and never prolongs one:
 * a steady stream of them would keep what is parked from ever having its turn.
 *
 * Pure: times are milliseconds of one clock, the caller's.
 */
export const paceLimits = {
  first: 20,
  /** What the dispatchers' memory bears. */
  most: 2_000,
  answerWithinMs: 60_000,
  /** Were a clock wrong, one delivery a minute finds out. */
  holdMs: 60_000,
};

interface Hold {
  by: 'breaker' | 'rate' | 'history' | 'bounces';
  untilMs: number;
}

interface Release {
  atMs: number;
  /** Counts the lane's releases, from 1. */
  turn: number;
}

export class LanePace {
  private window: number = paceLimits.first;
  /** Below it the window doubles, above it creeps. */
  private creepsFrom: number = paceLimits.most;
  /** Released and not answered; the oldest first. */
  private readonly outstanding = new Map<string, Release>();
  private hold: Hold | null = null;
  private releases = 0;
  /** The release that last filled the window: those up to it proved what a full window does. */
  private filledBy = 0;
  /** The last release before the last cut: those up to it are of the round that the cut answered. */
  private cutAfter = 0;

  /** How many deliveries may be released now. */
  room(nowMs: number): number {
    this.expire(nowMs);
    if (this.holdAt(nowMs)) return 0;
    return Math.max(0, Math.floor(this.window) - this.outstanding.size);
  }

  /** When there may be room by the passing of time alone; Infinity when only an answer makes room. */
  roomAtMs(nowMs: number): number {
    if (this.room(nowMs) > 0) return nowMs;
    const hold = this.holdAt(nowMs);
    if (hold) return hold.untilMs;
    const [oldest] = this.outstanding.values();
    return oldest === undefined ? Infinity : oldest.atMs + paceLimits.answerWithinMs;
  }

  /** Nothing of the lane is on its way, and nothing holds it. */
  isIdle(nowMs: number): boolean {
    this.expire(nowMs);
    return this.outstanding.size === 0 && this.holdAt(nowMs) === null;
  }

  release(delivery: string, nowMs: number): void {
    this.outstanding.delete(delivery);
    this.outstanding.set(delivery, { atMs: nowMs, turn: ++this.releases });
    if (this.outstanding.size >= Math.floor(this.window)) this.filledBy = this.releases;
  }

  /** It was not released after all: no answer will come. */
  forget(delivery: string): void {
    this.outstanding.delete(delivery);
  }

  /** Nobody will be called: what held the lane for its receiver's sake holds it no more. */
  lift(): void {
    if (this.hold?.by !== 'history') this.hold = null;
  }

  pause(untilMs: number, nowMs: number): void {
    this.holdUntil({ by: 'history', untilMs }, true, nowMs);
  }

  succeeded(delivery: string): void {
    if (this.hold?.by === 'breaker' || this.hold?.by === 'bounces') this.hold = null;
    const release = this.outstanding.get(delivery);
    if (!release) return;
    this.outstanding.delete(delivery);
    if (release.turn > this.filledBy) return;
    const step = this.window < this.creepsFrom ? 1 : 1 / this.window;
    this.window = Math.min(this.window + step, paceLimits.most);
  }

  failed(delivery: string): void {
    if (this.hold?.by === 'bounces') this.hold = null;
    this.outstanding.delete(delivery);
  }

  returned(delivery: string): void {
    this.outstanding.delete(delivery);
  }

  /** The lane turned it away until `untilMs`. True when it was released from here. */
  bounced(delivery: string, reason: LaneReason, untilMs: number, nowMs: number): boolean {
    const release = this.outstanding.get(delivery);
    const isOurs = release !== undefined;
    this.outstanding.delete(delivery);
    const wasLeast = isOurs && release.turn > this.cutAfter && this.window < 2;
    if (isOurs) this.cut(release);
    switch (reason) {
      case 'breaker_open':
        this.window = 1;
        this.creepsFrom = paceLimits.most;
        this.cutAfter = this.releases;
        this.holdUntil({ by: 'breaker', untilMs }, isOurs, nowMs);
        break;
      case 'rate_limited':
        this.holdUntil({ by: 'rate', untilMs }, isOurs, nowMs);
        break;
      case 'lane_full':
      case 'lane_slow':
        if (wasLeast) this.holdUntil({ by: 'bounces', untilMs }, isOurs, nowMs);
        break;
      default:
        unreachable(reason);
    }
    return isOurs;
  }

  private cut({ turn }: Release): void {
    if (turn <= this.cutAfter) return;
    this.cutAfter = this.releases;
    this.window = Math.max(1, this.window / 2);
    this.creepsFrom = this.window;
  }

  private holdUntil(hold: Hold, isOurs: boolean, nowMs: number): void {
    if (!isOurs && this.holdAt(nowMs)?.by === hold.by) return;
    this.hold = { by: hold.by, untilMs: Math.min(hold.untilMs, nowMs + paceLimits.holdMs) };
  }

  private holdAt(nowMs: number): Hold | null {
    if (this.hold && this.hold.untilMs <= nowMs) this.hold = null;
    return this.hold;
  }

  private expire(nowMs: number): void {
    for (const [delivery, release] of this.outstanding) {
      if (nowMs - release.atMs < paceLimits.answerWithinMs) return;
      this.outstanding.delete(delivery);
      this.cut(release);
    }
  }
}

/** A new reason that nobody handles does not compile. */
function unreachable(value: never): never {
  throw new Error(`not handled: ${JSON.stringify(value)}`);
}
