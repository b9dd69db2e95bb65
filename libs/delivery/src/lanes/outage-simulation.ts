import type { RetryPolicy } from '@posthaste/contracts';
import { decide } from '../decide.js';
import { policySpanMs } from '../retry-policy.js';
import { isLaneReason, type LaneReason } from './lane-answer.js';
import { type LaneJob, laneRules, type Overflow } from './lane.js';
import { LanePace } from './lane-pace.js';
import { Lanes } from './lanes.js';

/**
 * An endpoint that gets messages at a steady rate is away for a while and comes back, with both ends of its lane as they
 * run in the services: what sends (`Lanes`, in the dispatcher) and what hands it the parked (`LanePace`, in the
 * scheduler). Between them lie the log and the due index; here they are a queue and a few milliseconds. Ten healthy
 * endpoints get messages beside it. All time is simulated, and the same plan always ends the same way.
 *
 * While it is away it is probed, and what arrives is what it is probed with: a failed message is tried again when the
 * endpoint is back, however long after the time its policy names.
 *
 * It does not know the receiver: an answer takes 5 ms and a refused connection 1 ms, and the lane grows from there.
 */
export interface OutagePlan {
  /** Messages to the endpoint; at most 1,000, for time passes in milliseconds. */
  perSecond: number;
  /** Messages come for so long before it goes away. */
  beforeMs: number;
  awayMs: number;
  /** And for so long after it is back. */
  afterMs: number;
  policy: RetryPolicy;
}

/** What went to the endpoint in one minute, and what was parked at its end. */
export interface OutageMinute {
  attempts: number;
  failures: number;
  parked: number;
}

const MINUTE = 60_000;
const BUSY = 'busy';
const HEALTHY_EVERY_MS = 10;
const HEALTHY_LANES = 10;
const HOP_MS = 10;
const ANSWER_MS = 5;
const SWEEP_MS = 100;
const RELEASE_MS = 250;

interface Sent extends LaneJob {
  /** The message's number among its endpoint's. */
  message: number;
  attempt: number;
  arrivedAt: number;
}

export class OutageSimulation {
  now = 0;
  readonly messages: number;
  readonly lastMessageAt: number;
  readonly outage: { from: number; to: number };
  deliveredCount = 0;
  twice = 0;
  exhausted = 0;
  mostInFlight = 0;
  mostParked = 0;
  /** When nothing was parked any more; Infinity before that. */
  drainedAt = Infinity;
  healthy = { sent: 0, longestWaitMs: 0 };
  attemptsWhileAway = 0;
  /** How many first, second, ... attempts there were. */
  readonly attemptsByNumber: number[] = [];
  readonly minutes: OutageMinute[] = [];
  /** Of each retry: how long after the time its policy named. */
  readonly retriedLateMs: number[] = [];
  private readonly delivered: Uint8Array;
  private published = 0;
  private readonly agenda = new Map<number, (() => void)[]>();
  private readonly pace = new LanePace();
  private readonly parked = new OldestFirst();
  private readonly retries = new Map<number, { attempt: number; dueAt: number }>();
  private inFlight = 0;
  private readonly lanes = new Lanes<Sent>({
    rules: laneRules,
    maxInFlight: 256,
    maxPerAccount: 64,
    maxPerOrigin: 128,
    start: (job) => this.send(job),
    overflow: (job, overflow) => this.defer(job, overflow),
  });

  constructor(private readonly plan: OutagePlan) {
    this.outage = { from: plan.beforeMs, to: plan.beforeMs + plan.awayMs };
    this.lastMessageAt = this.outage.to + plan.afterMs;
    this.messages = Math.ceil((this.lastMessageAt / 1_000) * plan.perSecond);
    this.delivered = new Uint8Array(this.messages);
  }

  /** Until every message is delivered or exhausted. What takes twice the time its policy allows never will be. */
  run(tellMinute: (minute: number) => void = () => undefined): void {
    const limit = 2 * (this.lastMessageAt + policySpanMs(this.plan.policy));
    for (; !this.isOver; this.now = this.next()) {
      if (this.now > limit) throw new Error(`not drained: ${this.deliveredCount} delivered`);
      for (const act of this.agenda.get(this.now) ?? []) act();
      this.agenda.delete(this.now);
      if (this.now < this.lastMessageAt) this.publish();
      if (this.now % MINUTE === 0) tellMinute(this.now / MINUTE);
      if (this.now % SWEEP_MS === 0) this.lanes.sweep(this.now);
      if (this.now % RELEASE_MS === 0) this.release();
    }
  }

  private get isOver(): boolean {
    const isSettled = this.deliveredCount + this.exhausted >= this.messages;
    return this.now >= this.lastMessageAt && isSettled && this.drainedAt !== Infinity;
  }

  /** When only retries are left, hours may pass in which nothing happens. */
  private next(): number {
    const isQuiet = this.now >= this.lastMessageAt && this.inFlight === 0 && this.parked.size === 0;
    if (!isQuiet || this.drainedAt === Infinity) return this.now + 1;
    let next = Infinity;
    for (const at of this.agenda.keys()) next = Math.min(next, at);
    return next === Infinity ? this.now + 1 : next;
  }

  private publish(): void {
    for (; (this.published * 1_000) / this.plan.perSecond <= this.now; this.published++) {
      if (this.published < this.messages) this.enter(BUSY, this.published, 1);
    }
    if (this.now % HEALTHY_EVERY_MS > 0) return;
    const number = this.now / HEALTHY_EVERY_MS;
    this.enter(`healthy ${number % HEALTHY_LANES}`, number, 1);
  }

  private enter(endpoint: string, message: number, attempt: number): void {
    const job = { message, attempt, arrivedAt: this.now, endpoint, account: endpoint, bytes: 1_000 };
    const settings = { origin: `https://${endpoint}.example`, rateLimit: null };
    const place = { enteredAt: 0, startedAt: 0, origin: '', isLost: false, isInTheWay: true };
    this.lanes.enter({ ...job, ...place }, settings, this.now);
  }

  private send(job: Sent): void {
    if (job.endpoint !== BUSY) {
      this.healthy.sent++;
      this.healthy.longestWaitMs = Math.max(this.healthy.longestWaitMs, this.now - job.arrivedAt);
    } else {
      this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
      const retry = this.retries.get(job.message);
      if (retry) this.retriedLateMs.push(this.now - retry.dueAt);
    }
    const isAway = job.endpoint === BUSY && this.now >= this.outage.from && this.now < this.outage.to;
    if (isAway) this.attemptsWhileAway++;
    if (job.endpoint === BUSY) this.count(job.attempt, isAway);
    this.in(isAway ? 1 : ANSWER_MS, () => {
      if (job.endpoint === BUSY) this.inFlight--;
      this.lanes.answered(job, isAway ? 'failed' : 'succeeded', this.now);
      this.lanes.recorded(job, this.now);
      if (job.endpoint === BUSY) this.answered(job, isAway);
    });
  }

  private count(attempt: number, isAway: boolean): void {
    this.attemptsByNumber[attempt - 1] = (this.attemptsByNumber[attempt - 1] ?? 0) + 1;
    const minute = this.minute();
    minute.attempts++;
    if (isAway) minute.failures++;
  }

  private minute(): OutageMinute {
    return (this.minutes[Math.floor(this.now / MINUTE)] ??= { attempts: 0, failures: 0, parked: 0 });
  }

  private answered({ message, attempt }: Sent, isAway: boolean): void {
    const outcome = isAway
      ? ({ kind: 'failed', class: 'connection' } as const)
      : ({ kind: 'succeeded', status: 200 } as const);
    const decision = decide({
      outcome,
      attempt,
      policy: this.plan.policy,
      now: this.now,
      random: (message % 97) / 97,
    });
    this.retries.delete(message);
    switch (decision.kind) {
      case 'delivered':
        this.pace.succeeded(`${message}`);
        this.twice += this.delivered[message] ?? 0;
        this.delivered[message] = 1;
        this.deliveredCount++;
        return;
      case 'retry':
        this.pace.failed(`${message}`);
        this.retries.set(message, { attempt: attempt + 1, dueAt: decision.at });
        this.in(decision.at - this.now, () => this.admit(message));
        return;
      default:
        this.exhausted++;
    }
  }

  private defer({ endpoint, message }: Sent, { reason, until }: Overflow): void {
    if (endpoint !== BUSY || !isLaneReason(reason)) throw new Error(`${endpoint} was deferred: ${reason}`);
    this.in(HOP_MS, () => {
      this.pace.bounced(`${message}`, reason satisfies LaneReason, until, this.now);
      this.parked.add(message);
    });
  }

  /** A retry whose time has come goes at once when nothing waits before it. */
  private admit(message: number): void {
    if (this.parked.size > 0 || this.pace.room(this.now) === 0) this.parked.add(message);
    else this.handOver(message);
  }

  private release(): void {
    const room = Math.min(this.pace.room(this.now), this.parked.size);
    for (let i = 0; i < room; i++) this.handOver(this.parked.take());
    this.minute().parked = this.parked.size;
    this.mostParked = Math.max(this.mostParked, this.parked.size);
    if (this.now >= this.outage.to && this.parked.size === 0)
      this.drainedAt = Math.min(this.drainedAt, this.now);
  }

  private handOver(message: number): void {
    this.pace.release(`${message}`, this.now);
    const attempt = this.retries.get(message)?.attempt ?? 1;
    this.in(HOP_MS, () => this.enter(BUSY, message, attempt));
  }

  private in(ms: number, act: () => void): void {
    const at = this.now + Math.max(1, Math.ceil(ms));
    const acts = this.agenda.get(at);
    if (acts) acts.push(act);
    else this.agenda.set(at, [act]);
  }
}

/** Messages by number. Nearly all come in order, once; the few that come again are kept in order by themselves. */
class OldestFirst {
  private readonly fresh: number[] = [];
  private readonly again: number[] = [];
  private from = 0;

  get size(): number {
    return this.fresh.length - this.from + this.again.length;
  }

  add(message: number): void {
    if (message > (this.fresh.at(-1) ?? -1)) {
      this.fresh.push(message);
      return;
    }
    const at = this.again.findIndex((other) => other > message);
    this.again.splice(at === -1 ? this.again.length : at, 0, message);
  }

  take(): number {
    const next = Math.min(this.fresh[this.from] ?? Infinity, this.again[0] ?? Infinity);
    if (next === this.again[0]) this.again.shift();
    else this.from++;
    return next;
  }
}
