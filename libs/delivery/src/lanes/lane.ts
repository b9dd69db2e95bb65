import type { DeliveryDeferred, RateLimit } from '@posthaste/contracts';
import { Breaker, type BreakerRules, breakerRules } from './breaker.js';
import { AdaptiveLimit } from './concurrency.js';
import { RateWindow } from './rate-window.js';

/** What a lane needs to know of the work it queues. */
export interface LaneJob {
  readonly endpoint: string;
  readonly account: string;
  readonly bytes: number;
  /** When it entered the lane, by the clock of the caller. */
  enteredAt: number;
  /** When it began, by the same clock. */
  startedAt: number;
  /** The server it began to be sent to; its place there is given back when it is answered. */
  origin: string;
  /** The partition it came from is no longer ours: drop it unsent. */
  readonly isLost: boolean;
  /** Work for other endpoints comes the same way, and will soon have to wait behind what is held here. */
  readonly isInTheWay: boolean;
}

/** What of an endpoint's configuration concerns its lane. Another object = it may have changed. */
export interface LaneSettings {
  /** Scheme, host and port of its URL: endpoints that share a server share its places. */
  readonly origin: string;
  readonly rateLimit: RateLimit | null;
}

/**
 * What became of a job that was started, as far as its lane is concerned: `overloaded` is a failure that asks for fewer
 * requests (a timeout, a 429); `none`: the receiver was not asked, or what failed was ours.
 */
export type LaneVerdict = 'succeeded' | 'failed' | 'overloaded' | 'none';

/** Why there is no place for a job, and when to come again. */
export interface Overflow {
  reason: DeliveryDeferred['reason'];
  until: number;
}

export interface LaneRules {
  /** Requests to one endpoint at the same time. */
  maxInFlight: number;
  /** What may wait for an endpoint that does not answer. */
  stalled: { records: number; bytes: number };
  /** What may wait for one that does. */
  moving: { records: number; bytes: number };
  /** A lane with requests under way that completed nothing for this long is stalled: `stalled` is what may wait in it. */
  stalledAfterMs: number;
  /** Nothing waits longer in somebody's way, or in a lane that completed nothing meanwhile. */
  maxWaitMs: number;
  /** How long what found no room is put off; twice as long each time, up to the most, while nothing is completed. */
  comeAgainMs: { least: number; most: number };
  breaker: BreakerRules;
}

/**
 * Putting off protects the others, and costs more than a delivery. A job that is in nobody's way may wait in a moving
 * lane as long as it takes: the window of its partition bounds what waits here, and the log holds the rest. A lane that
 * only waits for its turn is moving: putting it off would give a busy process more to do, and its receiver no rest.
 *
 * For the others: 100 records are enough to bridge an answer or two, and few enough that the endpoints that hang in a partition cannot
 * fill its window of 2,000. An endpoint that is answering may have half the window, else every burst of a busy
 * account would be put off for seconds although it could be sent at once.
 */
export const laneRules: LaneRules = {
  maxInFlight: 16,
  stalled: { records: 100, bytes: 1_000_000 },
  moving: { records: 1_000, bytes: 8_000_000 },
  stalledAfterMs: 250,
  maxWaitMs: 2_000,
  comeAgainMs: { least: 1_000, most: 30_000 },
  breaker: breakerRules,
};

/**
 * One endpoint's work: what is being sent, what waits, in order, and how the endpoint has been doing. A job begins when
 * the breaker lets it, the limit has room and the rate has room. What could not begin within two seconds, because its
 * receiver is slow or in the way of others, does not wait here: it overflows, and the scheduler brings it back.
 */
export class Lane<J extends LaneJob> {
  inFlight = 0;
  /** Its turn came, and its server had no place: it is others' requests that hang there. */
  isServerFull = false;
  private queue: J[] = [];
  private head = 0;
  private queuedBytes = 0;
  /** When it last completed something, or began with nothing under way. */
  private progressAt: number;
  /** How often something waited too long since then. A lane that gets no place at its server is slow without failing. */
  private stalls = 0;
  private readonly limit: AdaptiveLimit;
  private readonly breaker: Breaker;
  private rate: RateWindow | null = null;

  constructor(
    readonly endpoint: string,
    readonly account: string,
    private settings: LaneSettings,
    private readonly rules: LaneRules,
    now: number,
  ) {
    this.progressAt = now;
    this.limit = new AdaptiveLimit(rules.maxInFlight);
    this.breaker = new Breaker(rules.breaker);
    this.rate = settings.rateLimit && new RateWindow(settings.rateLimit);
  }

  get origin(): string {
    return this.settings.origin;
  }

  get queued(): number {
    return this.queue.length - this.head;
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.queued === 0;
  }

  get isOpen(): boolean {
    return !this.breaker.isClosed;
  }

  /** Nothing would be lost by forgetting it. */
  isForgettable(now: number): boolean {
    if (!this.isIdle) return false;
    if (now - this.progressAt >= REMEMBERED_MS) return true;
    const isPlain = this.limit.isWhole && this.stalls === 0 && (this.rate?.isEmpty(now) ?? true);
    return isPlain && this.breaker.isSpotless(now);
  }

  configure(settings: LaneSettings): void {
    if (settings === this.settings) return;
    const { count, periodSeconds } = this.settings.rateLimit ?? {};
    const { rateLimit } = settings;
    if (rateLimit?.count !== count || rateLimit?.periodSeconds !== periodSeconds) {
      this.rate = rateLimit && new RateWindow(rateLimit);
    }
    this.settings = settings;
  }

  canStart(now: number): boolean {
    if (this.queued === 0 || this.inFlight >= this.limit.current) return false;
    return this.breaker.refusesUntil(now) === null && (this.rate?.waitMs(0, now) ?? 0) === 0;
  }

  /** Null: it waits here. */
  push(job: J, now: number): Overflow | null {
    const overflow = this.refusal(job, now);
    if (overflow !== null) return overflow;
    this.queue.push(job);
    this.queuedBytes += job.bytes;
    return null;
  }

  /** The next job, which begins now. */
  begin(now: number): J | undefined {
    const job = this.shift();
    if (job === undefined || job.isLost) return job;
    job.startedAt = now;
    job.origin = this.settings.origin;
    if (this.inFlight === 0) this.progressAt = now;
    this.inFlight++;
    this.breaker.begin(now);
    this.rate?.begin(now);
    return job;
  }

  /** Answers what has no business here any more: all that waits, when the endpoint was just found to be down. */
  completed(job: J, verdict: LaneVerdict, now: number): J[] {
    this.inFlight--;
    this.progressAt = now;
    if (verdict === 'none') {
      this.breaker.withdraw(now);
      return [];
    }
    this.stalls = 0;
    if (verdict === 'overloaded') this.limit.overloaded(job.startedAt, now);
    if (verdict === 'succeeded') this.limit.succeeded();
    switch (this.breaker.record(verdict === 'succeeded', now)) {
      case 'closed':
        this.limit.recovered();
        return [];
      case 'opened':
        return this.takeAll();
      case 'unchanged':
        return [];
    }
  }

  /** Takes out what has waited too long. */
  takeOverdue(now: number): J[] {
    const overdue: J[] = [];
    for (let job = this.queue[this.head]; job !== undefined; job = this.queue[this.head]) {
      if (now - job.enteredAt < this.rules.maxWaitMs || this.mayWait(job, now)) break;
      overdue.push(job);
      this.shift();
    }
    if (overdue.length > 0) this.stalls++;
    return overdue;
  }

  /** Why what overflows now does, and when it is to come again. */
  overflowOf(reason: 'lane_full' | 'lane_slow' | 'breaker_open', now: number): Overflow {
    const probeAt = this.breaker.refusesUntil(now);
    if (probeAt !== null) return { reason: 'breaker_open', until: probeAt };
    const { least, most } = this.rules.comeAgainMs;
    return { reason, until: now + Math.min(least * 2 ** Math.max(0, this.stalls - 1), most) };
  }

  dropLost(): void {
    this.queue = this.queue.slice(this.head).filter((job) => !job.isLost);
    this.head = 0;
    this.queuedBytes = this.queue.reduce((sum, job) => sum + job.bytes, 0);
  }

  private refusal(job: J, now: number): Overflow | null {
    const probeAt = this.breaker.refusesUntil(now);
    if (probeAt !== null) return { reason: 'breaker_open', until: probeAt };
    // One probe, and nothing waits behind it.
    if (this.isOpen && this.queued > 0) return this.overflowOf('breaker_open', now);
    const rateMs = this.rate?.waitMs(this.queued, now) ?? 0;
    if (rateMs > this.rules.maxWaitMs) return { reason: 'rate_limited', until: now + rateMs };
    const { records, bytes } = this.isMoving(now) ? this.rules.moving : this.rules.stalled;
    const waits = this.queued > 0 || this.inFlight >= this.limit.current;
    const isFull = this.queued >= records || this.queuedBytes + job.bytes > bytes;
    return waits && isFull && !this.mayWait(job, now) ? this.overflowOf('lane_full', now) : null;
  }

  private shift(): J | undefined {
    const job = this.queue[this.head];
    if (job === undefined) return undefined;
    this.head++;
    this.queuedBytes -= job.bytes;
    if (this.head === this.queue.length || this.head >= 256) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
    return job;
  }

  private takeAll(): J[] {
    const all = this.queue.slice(this.head);
    this.queue = [];
    this.head = 0;
    this.queuedBytes = 0;
    return all;
  }

  private isMoving(now: number, withinMs = this.rules.stalledAfterMs): boolean {
    const waitsForItsTurn = this.inFlight === 0 && !this.isServerFull;
    return waitsForItsTurn || now - this.progressAt < withinMs;
  }

  private mayWait(job: J, now: number): boolean {
    return !job.isInTheWay && this.isMoving(now, this.rules.maxWaitMs);
  }
}

/** How an endpoint has been doing is remembered this long after its last request. */
const REMEMBERED_MS = 600_000;
