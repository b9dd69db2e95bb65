import { Lane, type LaneJob, type LaneRules } from './lane.js';

/**
 * All lanes of the process: who may send now, who waits, and who has waited too long.
 *
 * A job's way: entered -> started -> answered (its lane's place is free) -> recorded (the process's place is free); or
 * entered -> overflowed, for lack of room at once or of progress within 2 s. The process's places are held until the
 * attempt is in the log, so that a log that is away stops sending instead of piling up results. Lanes with work take
 * turns at free places, one job each. A lane exists only while it has work.
 *
 * No clock and no timer in here: `now` is an argument, and the owner calls `sweep` a few times a second.
 */
export interface LanesOptions<J> {
  rules: LaneRules;
  /** Requests of the process at the same time. */
  maxInFlight: number;
  start(job: J): void;
  overflow(job: J, reason: 'lane_full' | 'lane_slow'): void;
}

export class Lanes<J extends LaneJob> {
  private readonly lanes = new Map<string, Lane<J>>();
  /** Lanes with something to start and a free place of their own, in turn. */
  private readonly ready = new Set<Lane<J>>();
  /** Lanes with something waiting. */
  private readonly waiting = new Set<Lane<J>>();
  private places: number;
  private isPumping = false;
  private isClosed = false;
  private onIdle: (() => void) | undefined;

  constructor(private readonly options: LanesOptions<J>) {
    this.places = options.maxInFlight;
  }

  enter(job: J, now: number): void {
    if (this.isClosed) return;
    let lane = this.lanes.get(job.endpoint);
    if (!lane) {
      lane = new Lane(job.endpoint, this.options.rules, now);
      this.lanes.set(job.endpoint, lane);
    }
    job.enteredAt = now;
    if (!lane.push(job, now)) {
      this.options.overflow(job, 'lane_full');
      return;
    }
    this.waiting.add(lane);
    this.offer(lane);
    this.pump();
  }

  /** The receiver has answered, or failed to. */
  answered(endpoint: string, now: number): void {
    const lane = this.lanes.get(endpoint);
    if (!lane) return;
    lane.completed(now);
    this.offer(lane);
    this.forgetIfIdle(lane);
    this.pump();
  }

  /** The attempt is in the log. */
  recorded(): void {
    this.places++;
    if (this.inFlight === 0) this.onIdle?.();
    this.pump();
  }

  sweep(now: number): void {
    for (const lane of this.waiting) {
      for (const job of lane.takeOverdue(now)) {
        if (!job.isLost) this.options.overflow(job, 'lane_slow');
      }
      this.forgetIfIdle(lane);
    }
  }

  /** Forgets what waits and came from partitions that are no longer ours. */
  dropLost(): void {
    for (const lane of this.waiting) {
      lane.dropLost();
      this.forgetIfIdle(lane);
    }
  }

  /** Starts nothing more, forgets what waits. Resolves true when all that was started is recorded. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.isClosed = true;
    this.ready.clear();
    this.waiting.clear();
    if (this.inFlight === 0) return true;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.onIdle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
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

  private offer(lane: Lane<J>): void {
    if (lane.canStart && !this.isClosed) this.ready.add(lane);
  }

  private pump(): void {
    // A job may end at once and come back here: the loop below goes on with it, not the stack.
    if (this.isPumping) return;
    this.isPumping = true;
    for (const lane of this.ready) {
      if (this.places === 0) break;
      this.ready.delete(lane);
      this.startOne(lane);
      // At the end of the line, so that the others have their turn first.
      this.offer(lane);
    }
    this.isPumping = false;
  }

  private startOne(lane: Lane<J>): void {
    const job = lane.shift();
    if (lane.queued === 0) this.waiting.delete(lane);
    if (job === undefined || job.isLost) {
      this.forgetIfIdle(lane);
      return;
    }
    lane.inFlight++;
    this.places--;
    this.options.start(job);
  }

  private forgetIfIdle(lane: Lane<J>): void {
    if (lane.queued > 0) return;
    this.waiting.delete(lane);
    this.ready.delete(lane);
    if (lane.isIdle) this.lanes.delete(lane.endpoint);
  }
}
