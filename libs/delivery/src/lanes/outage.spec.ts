import { describe, expect, it } from '@jest/globals';
import { decide } from '../decide.js';
import { isLaneReason, type LaneReason } from './lane-answer.js';
import { type LaneJob, laneRules, type Overflow } from './lane.js';
import { LanePace } from './lane-pace.js';
import { Lanes } from './lanes.js';

/**
 * An endpoint that gets 200 messages a second is away for two hours and comes back, with both ends of its lane as they
 * run in the services: what sends (`Lanes`, in the dispatcher) and what hands it the parked (`LanePace`, in the
 * scheduler). Between them lie the log and the due index; here they are a queue and a few milliseconds. All time is
 * simulated.
 *
 * While it is away it is probed, and what arrives is what it is probed with: a failed message is tried again when the
 * endpoint is back, however long after the time its policy names.
 */
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const outage = { from: 2 * MINUTE, to: 122 * MINUTE };
const lastMessageAt = 132 * MINUTE;
const BUSY = 'busy';
const BUSY_EVERY_MS = 5;
const HEALTHY_EVERY_MS = 10;
const HEALTHY_LANES = 10;
const HOP_MS = 10;
const ANSWER_MS = 5;
const SWEEP_MS = 100;
const RELEASE_MS = 250;
const policy = { preset: 'ada' } as const;

interface Sent extends LaneJob {
  /** The message's number among its endpoint's. */
  message: number;
  attempt: number;
  arrivedAt: number;
}

class Outage {
  now = 0;
  readonly delivered = new Uint8Array(lastMessageAt / BUSY_EVERY_MS);
  deliveredCount = 0;
  twice = 0;
  exhausted = 0;
  mostInFlight = 0;
  /** When nothing was parked any more. */
  drainedAt = Infinity;
  healthy = { sent: 0, longestWaitMs: 0 };
  attemptsWhileAway = 0;
  /** Of each retry: how long after the time its policy named. */
  readonly retriedLateMs: number[] = [];
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

  run(): void {
    for (; this.now < lastMessageAt || this.deliveredCount < this.delivered.length; this.now++) {
      if (this.now > 2 * lastMessageAt) throw new Error(`not drained: ${this.deliveredCount} delivered`);
      for (const act of this.agenda.get(this.now) ?? []) act();
      this.agenda.delete(this.now);
      if (this.now < lastMessageAt) this.publish();
      if (this.now % SWEEP_MS === 0) this.lanes.sweep(this.now);
      if (this.now % RELEASE_MS === 0) this.release();
    }
  }

  private publish(): void {
    if (this.now % BUSY_EVERY_MS === 0) this.enter(BUSY, this.now / BUSY_EVERY_MS, 1);
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
    const isAway = job.endpoint === BUSY && this.now >= outage.from && this.now < outage.to;
    if (isAway) this.attemptsWhileAway++;
    this.in(isAway ? 1 : ANSWER_MS, () => {
      if (job.endpoint === BUSY) this.inFlight--;
      this.lanes.answered(job, isAway ? 'failed' : 'succeeded', this.now);
      this.lanes.recorded(job, this.now);
      if (job.endpoint === BUSY) this.answered(job, isAway);
    });
  }

  private answered({ message, attempt }: Sent, isAway: boolean): void {
    const outcome = isAway
      ? ({ kind: 'failed', class: 'connection' } as const)
      : ({ kind: 'succeeded', status: 200 } as const);
    const decision = decide({ outcome, attempt, policy, now: this.now, random: (message % 97) / 97 });
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
    if (this.now >= outage.to && this.parked.size === 0) this.drainedAt = Math.min(this.drainedAt, this.now);
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

describe('a lane whose endpoint is away for two hours at 200 messages a second', () => {
  const run = new Outage();
  run.run();

  it('delivers every message once, at the pace of the lane, soon after the endpoint is back', () => {
    expect([run.deliveredCount, run.twice, run.exhausted]).toEqual([run.delivered.length, 0, 0]);
    expect(run.mostInFlight).toBeLessThanOrEqual(laneRules.maxInFlight);
    const drainedAfterMs = run.drainedAt - outage.to;
    console.info(`drained ${Math.round(drainedAfterMs / SECOND)} s after the return`);
    expect(drainedAfterMs).toBeLessThan(lastMessageAt - outage.to);
  });

  it('probes it meanwhile, and no more', () => {
    console.info(`${run.attemptsWhileAway} attempts while it was away`);
    expect(run.attemptsWhileAway).toBeLessThan(2 * ((outage.to - outage.from) / laneRules.breaker.openMs));
  });

  it('makes no healthy lane wait', () => {
    expect(run.healthy).toEqual({ sent: lastMessageAt / HEALTHY_EVERY_MS, longestWaitMs: 0 });
  });

  it('retries at the time the policy names or later, never earlier', () => {
    const bounds = [0, 1, 60, 600, 3_600, Infinity].map((seconds) => seconds * SECOND);
    const histogram = bounds.slice(1).map((bound, i) => {
      const from = bounds[i] ?? 0;
      return [`< ${bound / SECOND} s`, run.retriedLateMs.filter((ms) => ms >= from && ms < bound).length];
    });
    console.info('retries by how long after their time', Object.fromEntries(histogram));
    expect(run.retriedLateMs.filter((ms) => ms < 0)).toEqual([]);
    expect(run.retriedLateMs.length).toBe(run.attemptsWhileAway);
  });
});
