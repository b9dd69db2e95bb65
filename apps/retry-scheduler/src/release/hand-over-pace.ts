import type { DeliveryEvent } from '@posthaste/contracts';

/**
 * How fast what is due is handed to the dispatchers, so that new messages do not wait for it.
 *
 * When an outage ends, all that was put off comes due at once. Each lane paces what it is given, and a thousand lanes
 * together still take all the processor there is. The scheduler sees only what that does to others: how long new
 * messages wait for their first attempt. So it yields, as a download in the background does: the pace grows while new
 * messages wait no longer than they do of themselves, and is halved for each second in which they do.
 *
 * - What they wait of themselves is the shortest 90th percentile of a second in the last two minutes. Twice that is
 *   borne, and 20 ms in any case.
 * - The pace never falls below 100/s, nor below a quarter of the pace of new messages: what is late must end, too.
 * - With nobody to disturb it doubles each second.
 * - It grows only while it holds something back, and sinks while it does not: the next storm comes all at once.
 * - After a rest a hundred go at once, so that what comes in small numbers never waits.
 *
 * Of several replicas each sees the messages of its own partitions. Pure: times are milliseconds of the clock it is given.
 */
export const handOverLimits = {
  firstPerSecond: 200,
  leastPerSecond: 100,
  leastShareOfNew: 0.25,
  mostPerSecond: 20_000,
  burst: 100,
};

const SECOND_MS = 1_000;
const REMEMBERED_SECONDS = 120;
const QUANTILE = 0.9;
/** Fewer say nothing. */
const LEAST_WAITS = 10;
const MOST_WAITS = 1_000;
const BORNE = { times: 2, ms: 20 };
/** A first attempt that comes so late was put off: no new message. */
const PUT_OFF_MS = 5_000;
const GROWTH = { perSecond: 50, share: 0.1 };
const SINKING = 0.9;
/** A batch has its own transaction, so it is of what comes in this time at least. */
const BATCH_MS = 50;

export class HandOverPace {
  private perSecond = handOverLimits.firstPerSecond;
  /** What may go now. */
  private allowance = handOverLimits.burst;
  private filledAtMs: number;
  private secondBeganAtMs: number;
  /** Of this second: how many new messages had their first attempt, how long they waited, and whether anything was held back. */
  private newOnes = 0;
  private waitsMs: number[] = [];
  private isHoldingBack = false;
  /** Of the seconds before, the oldest first. */
  private readonly secondsMs: number[] = [];

  constructor(private readonly now: () => number = () => performance.now()) {
    this.filledAtMs = this.secondBeganAtMs = now();
  }

  /** Attempts a second. */
  get rate(): number {
    return this.perSecond;
  }

  notice(event: DeliveryEvent): void {
    if (event.type !== 'DeliveryAttempted' || event.attempt > 1 || event.trigger !== 'publish') return;
    const waitMs = event.startedAt - event.acceptedAt;
    if (waitMs > PUT_OFF_MS) return;
    this.adjust();
    this.newOnes++;
    if (this.waitsMs.length < MOST_WAITS) this.waitsMs.push(waitMs);
  }

  /** How many may be handed over now, `most` at most; 0 until it is worth a batch. */
  room(most: number): number {
    this.adjust();
    const isEnough = this.allowance >= Math.min(most, this.batch());
    if (!isEnough) this.isHoldingBack = true;
    return isEnough ? Math.min(most, Math.floor(this.allowance)) : 0;
  }

  /** So many were. */
  spend(count: number): void {
    this.allowance -= count;
  }

  /** How long there will be none. */
  msUntilRoom(): number {
    this.fill();
    return Math.max(0, ((this.batch() - this.allowance) * SECOND_MS) / this.perSecond);
  }

  private batch(): number {
    return Math.min(handOverLimits.burst, (this.perSecond * BATCH_MS) / SECOND_MS);
  }

  private fill(): void {
    const nowMs = this.now();
    const most = Math.max(handOverLimits.burst, (2 * this.perSecond * BATCH_MS) / SECOND_MS);
    const come = ((nowMs - this.filledAtMs) * this.perSecond) / SECOND_MS;
    this.allowance = Math.min(most, this.allowance + come);
    this.filledAtMs = nowMs;
  }

  private adjust(): void {
    this.fill();
    const passedMs = this.filledAtMs - this.secondBeganAtMs;
    if (passedMs < SECOND_MS) return;
    const least = Math.max(
      handOverLimits.leastPerSecond,
      (handOverLimits.leastShareOfNew * this.newOnes * SECOND_MS) / passedMs,
    );
    this.perSecond = Math.min(Math.max(this.wished(), least), handOverLimits.mostPerSecond);
    this.secondBeganAtMs = this.filledAtMs;
    this.newOnes = 0;
    this.waitsMs = [];
    this.isHoldingBack = false;
  }

  private wished(): number {
    if (this.isDisturbing()) return this.perSecond / 2;
    if (!this.isHoldingBack) return Math.max(this.perSecond * SINKING, handOverLimits.firstPerSecond);
    if (this.newOnes === 0) return this.perSecond * 2;
    return this.perSecond + Math.max(GROWTH.perSecond, this.perSecond * GROWTH.share);
  }

  private isDisturbing(): boolean {
    if (this.waitsMs.length < LEAST_WAITS) return false;
    const waitMs = this.waitsMs.toSorted((a, b) => a - b)[Math.floor(this.waitsMs.length * QUANTILE)] ?? 0;
    this.secondsMs.push(waitMs);
    if (this.secondsMs.length > REMEMBERED_SECONDS) this.secondsMs.shift();
    return waitMs > Math.max(BORNE.times * Math.min(...this.secondsMs), BORNE.ms);
  }
}
