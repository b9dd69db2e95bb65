/** What a lane needs to know of the work it queues. */
export interface LaneJob {
  readonly endpoint: string;
  readonly bytes: number;
  /** When it entered the lane, by the clock of the caller. */
  enteredAt: number;
  /** The partition it came from is no longer ours: drop it unsent. */
  readonly isLost: boolean;
  /** Work for other endpoints comes the same way, and would have to wait behind it. */
  readonly isInTheWay: boolean;
}

export interface LaneRules {
  /** Requests to one endpoint at the same time. */
  maxInFlight: number;
  /** What may wait for an endpoint that does not answer. */
  stalled: { records: number; bytes: number };
  /** What may wait for one that does. */
  moving: { records: number; bytes: number };
  /** A lane that completed nothing for this long is stalled. */
  stalledAfterMs: number;
  /** Nothing waits longer. */
  maxWaitMs: number;
}

/**
 * Putting off protects the others, and costs more than a delivery. A job that is in nobody's way may wait in a moving
 * lane as long as it takes: the window of its partition bounds what waits here, and the log holds the rest.
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
};

/** One endpoint's work: what is being sent and what waits, in order. Adaptive limits, rates and breakers belong here. */
export class Lane<J extends LaneJob> {
  inFlight = 0;
  private queue: J[] = [];
  private head = 0;
  private queuedBytes = 0;
  /** When it last completed something, or began. */
  private progressAt: number;

  constructor(
    readonly endpoint: string,
    private readonly rules: LaneRules,
    now: number,
  ) {
    this.progressAt = now;
  }

  get queued(): number {
    return this.queue.length - this.head;
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.queued === 0;
  }

  get canStart(): boolean {
    return this.queued > 0 && this.inFlight < this.rules.maxInFlight;
  }

  /** False: there is no room for it. */
  push(job: J, now: number): boolean {
    const { records, bytes } = this.isMoving(now) ? this.rules.moving : this.rules.stalled;
    const waits = this.queued > 0 || this.inFlight >= this.rules.maxInFlight;
    const isFull = this.queued >= records || this.queuedBytes + job.bytes > bytes;
    if (waits && isFull && !this.mayWait(job, now)) return false;
    this.queue.push(job);
    this.queuedBytes += job.bytes;
    return true;
  }

  shift(): J | undefined {
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

  completed(now: number): void {
    this.inFlight--;
    this.progressAt = now;
  }

  /** Takes out what has waited too long. */
  takeOverdue(now: number): J[] {
    const overdue: J[] = [];
    for (let job = this.queue[this.head]; job !== undefined; job = this.queue[this.head]) {
      if (now - job.enteredAt < this.rules.maxWaitMs || this.mayWait(job, now)) break;
      overdue.push(job);
      this.shift();
    }
    return overdue;
  }

  private isMoving(now: number): boolean {
    return now - this.progressAt < this.rules.stalledAfterMs;
  }

  private mayWait(job: J, now: number): boolean {
    return this.isMoving(now) && !job.isInTheWay;
  }

  dropLost(): void {
    this.queue = this.queue.slice(this.head).filter((job) => !job.isLost);
    this.head = 0;
    this.queuedBytes = this.queue.reduce((sum, job) => sum + job.bytes, 0);
  }
}
