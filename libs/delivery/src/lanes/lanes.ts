import {
  Lane,
  type LaneJob,
  type LaneRules,
  type LaneSettings,
  type LaneVerdict,
  type Overflow,
} from './lane.js';
import { Turns } from './turns.js';

/**
 * All lanes of the process: who may send now, who waits, and who has waited too long.
 *
 * A job's way: entered -> started -> answered (its lane's and its server's place is free) -> recorded (the process's
 * place is free); or entered -> overflowed, for lack of room at once, or of progress within 2 s. The process's places
 * are held until the attempt is in the log, so that a log that is away stops sending instead of piling up results.
 * Accounts take turns at free places. A lane exists while it has work, or something worth remembering about its
 * endpoint: that it is down, slow, or close to its rate limit.
 *
 * No clock and no timer in here: `now` is an argument, and the owner calls `sweep` a few times a second.
 */
export interface LanesOptions<J> {
  rules: LaneRules;
  /** Requests of the process at the same time. */
  maxInFlight: number;
  /** Of them, those of one account. */
  maxPerAccount: number;
  /** Requests to one server (scheme, host and port) at the same time, whoever's they are. */
  maxPerOrigin: number;
  start(job: J): void;
  overflow(job: J, overflow: Overflow): void;
}

/** Remembered lanes are looked through this often. */
const FORGET_EVERY_MS = 10_000;

export class Lanes<J extends LaneJob> {
  private readonly lanes = new Map<string, Lane<J>>();
  private readonly turns: Turns<J>;
  /** Lanes with something waiting. */
  private readonly waiting = new Set<Lane<J>>();
  private places: number;
  private isPumping = false;
  private isClosed = false;
  private forgottenAt = 0;
  private onIdle: (() => void) | undefined;

  constructor(private readonly options: LanesOptions<J>) {
    this.places = options.maxInFlight;
    this.turns = new Turns({ perAccount: options.maxPerAccount, perOrigin: options.maxPerOrigin });
  }

  enter(job: J, settings: LaneSettings, now: number): void {
    if (this.isClosed) return;
    const lane = this.laneOf(job, settings, now);
    job.enteredAt = now;
    const overflow = lane.push(job, now);
    if (overflow !== null) {
      this.options.overflow(job, overflow);
      return;
    }
    this.waiting.add(lane);
    this.offer(lane, now);
    this.pump(now);
  }

  /** The receiver has answered, or failed to, or was not asked. */
  answered(job: J, verdict: LaneVerdict, now: number): void {
    const lane = this.lanes.get(job.endpoint);
    if (!lane) return;
    this.turns.answered(job.origin);
    const stranded = lane.completed(job, verdict, now);
    for (const waiting of stranded) this.overflow(lane, waiting, 'breaker_open', now);
    this.offer(lane, now);
    this.settleDown(lane, now);
    this.pump(now);
  }

  /** The attempt is in the log. */
  recorded(job: J, now: number): void {
    this.places++;
    this.turns.recorded(job.account);
    if (this.inFlight === 0) this.onIdle?.();
    this.pump(now);
  }

  /** Puts off what has waited too long, and starts what a rate or a breaker held back until now. */
  sweep(now: number): void {
    for (const lane of this.waiting) {
      for (const job of lane.takeOverdue(now)) this.overflow(lane, job, 'lane_slow', now);
      this.offer(lane, now);
      this.settleDown(lane, now);
    }
    if (now - this.forgottenAt >= FORGET_EVERY_MS) {
      this.forgottenAt = now;
      for (const lane of this.lanes.values()) this.settleDown(lane, now);
    }
    this.pump(now);
  }

  /** Forgets what waits and came from partitions that are no longer ours. */
  dropLost(now: number): void {
    for (const lane of this.waiting) {
      lane.dropLost();
      this.settleDown(lane, now);
    }
  }

  /** Starts nothing more, forgets what waits. Resolves when all that was started is recorded. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.turns.clear();
    this.waiting.clear();
    if (this.inFlight === 0) return;
    await new Promise<void>((resolve) => (this.onIdle = resolve));
  }

  /** Started and not recorded. */
  get inFlight(): number {
    return this.options.maxInFlight - this.places;
  }

  get queued(): number {
    let jobs = 0;
    for (const lane of this.waiting) jobs += lane.queued;
    return jobs;
  }

  get size(): number {
    return this.lanes.size;
  }

  /** Endpoints that are not called, but probed. */
  get open(): number {
    let open = 0;
    for (const lane of this.lanes.values()) if (lane.isOpen) open++;
    return open;
  }

  private laneOf(job: J, settings: LaneSettings, now: number): Lane<J> {
    let lane = this.lanes.get(job.endpoint);
    if (!lane) {
      lane = new Lane(job.endpoint, job.account, settings, this.options.rules, now);
      this.lanes.set(job.endpoint, lane);
    } else {
      lane.configure(settings);
    }
    return lane;
  }

  private offer(lane: Lane<J>, now: number): void {
    if (!this.isClosed && lane.canStart(now)) this.turns.offer(lane);
  }

  private pump(now: number): void {
    // A job may end at once and come back here: the loop below goes on with it, not the stack.
    if (this.isPumping || this.isClosed) return;
    this.isPumping = true;
    while (this.places > 0) {
      const lane = this.turns.next();
      if (lane === undefined) break;
      if (!lane.canStart(now)) continue;
      this.startOne(lane, now);
      // At the end of the line, so that the others have their turn first.
      this.offer(lane, now);
    }
    this.isPumping = false;
  }

  private startOne(lane: Lane<J>, now: number): void {
    const job = lane.begin(now);
    if (lane.queued === 0) this.waiting.delete(lane);
    if (job === undefined || job.isLost) {
      this.settleDown(lane, now);
      return;
    }
    this.places--;
    this.turns.begin(job);
    this.options.start(job);
  }

  private overflow(lane: Lane<J>, job: J, reason: Parameters<Lane<J>['overflowOf']>[0], now: number): void {
    if (!job.isLost) this.options.overflow(job, lane.overflowOf(reason, now));
  }

  /** Out of the line when nothing waits, forgotten when there is nothing to remember. */
  private settleDown(lane: Lane<J>, now: number): void {
    if (lane.queued > 0) return;
    this.waiting.delete(lane);
    this.turns.withdraw(lane);
    if (lane.isForgettable(now)) this.lanes.delete(lane.endpoint);
  }
}
