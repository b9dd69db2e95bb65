import type { DeliveryAttempted, DeliveryEvent } from '@posthaste/contracts';
import { type AttemptOutcome, laneRules, Lanes, type LaneVerdict, type Overflow } from '@posthaste/delivery';
import { startSpan, traceparentOf } from '@posthaste/runtime';
import type { ConfigCache } from './config-cache/config-cache.js';
import type { KnownEndpoint } from './config-cache/known-endpoint.js';
import type { Job } from './intake/job.js';
import { RecentAttempts } from './intake/recent-attempts.js';
import { makeAttempt, type Outbound } from './send/attempt.js';
import { cancelled, deferred } from './settle/delivery-key.js';
import { Ordering, type OrderingOptions } from './ordering/ordering.js';
import type { Settlement } from './settle/settlement.js';
import type { ShadowSends } from './uncounted/shadow-sends.js';

/**
 * The way of one job, top to bottom:
 *
 *   admit    the endpoint is known at the stamped version, or becomes so within 2 s; else deferred. Gone: cancelled
 *   enter    its lane has room; else deferred
 *   start    it is its turn; a repeat of an attempt made before ends here
 *   deliver  cancelled if the endpoint is gone, else one attempt
 *   settle   what happened is in the log, then the route is done
 *
 * Deferring consumes no attempt number; the scheduler brings the job back.
 */
export interface PipelineOptions extends Outbound {
  configCache: ConfigCache;
  settlement: Settlement;
  shadows: ShadowSends;
  laneInFlight: number;
  originInFlight: number;
  inFlight: number;
  tracing: boolean;
  owedKeys: OrderingOptions<Job>['owedKeys'];
  onSettled(event: DeliveryEvent): void;
  onOrderUnknown: OrderingOptions<Job>['onUnknown'];
  onRepeat(): void;
  onSecretsUnreadable(endpoint: string, error: unknown): void;
}

const CONFIG_WAIT_MS = 2_000;
const SWEEP_EVERY_MS = 100;
/** One account with many endpoints that hang holds at most this share of the places. */
const ACCOUNT_SHARE = 0.25;

export class Pipeline {
  readonly lanes: Lanes<Job>;
  private readonly ordering: Ordering<Job>;
  private readonly recent = new RecentAttempts(Date.now());
  /** Attempts being made, with repeats of them that end when they do. */
  private readonly underWay = new Map<string, Job[]>();
  private readonly sweeping: NodeJS.Timeout;
  /** Endpoints, as of one version, whose secrets could not be opened: said once, not with every delivery. */
  private readonly unreadable = new WeakSet<KnownEndpoint>();
  private isStopping = false;

  constructor(private readonly options: PipelineOptions) {
    this.lanes = new Lanes({
      rules: { ...laneRules, maxInFlight: options.laneInFlight },
      maxInFlight: options.inFlight,
      maxPerAccount: Math.ceil(options.inFlight * ACCOUNT_SHARE),
      maxPerOrigin: options.originInFlight,
      start: (job) => this.start(job),
      overflow: (job, overflow) => void this.defer(job, overflow),
    });
    this.ordering = new Ordering({
      owedKeys: options.owedKeys,
      go: (job) => this.enterLane(job),
      away: (job) => void this.defer(job, { reason: 'behind_key', until: Date.now() + COME_AGAIN_MS }),
      onUnknown: options.onOrderUnknown,
    });
    this.sweeping = setInterval(() => this.lanes.sweep(Date.now()), SWEEP_EVERY_MS);
  }

  admit(jobs: Job[]): void {
    const now = Date.now();
    for (const job of jobs) {
      const known = this.options.configCache.find(job.endpoint, job.route.version);
      if (known) this.enter(job, known, now);
      else void this.admitLater(job);
    }
  }

  /** Starts nothing more; resolves when what was started is in the log, or the time is up. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.isStopping = true;
    clearInterval(this.sweeping);
    this.ordering.close();
    let late: NodeJS.Timeout | undefined;
    const isOver = new Promise<false>((resolve) => (late = setTimeout(() => resolve(false), timeoutMs)));
    const isDrained = await Promise.race([this.lanes.close().then(() => true), isOver]);
    clearTimeout(late);
    return isDrained;
  }

  private async admitLater(job: Job): Promise<void> {
    const known = await this.options.configCache.whenAtLeast(job.endpoint, job.route.version, CONFIG_WAIT_MS);
    if (job.isLost || this.isStopping) return;
    if (known) this.enter(job, known, Date.now());
    else await this.defer(job, configUnavailable(Date.now()));
  }

  /** Not into the lane of an endpoint that is gone: the lane may be waiting for its receiver. */
  private enter(job: Job, known: KnownEndpoint, now: number): void {
    const { goneBecause, state } = known;
    if (goneBecause !== null) {
      void this.putAway(job, cancelled(job, goneBecause, now));
      return;
    }
    job.isOrdered = state.ordering === 'by_key' && job.orderingKey !== '' && job.position >= 0;
    if (job.isOrdered) this.ordering.enter(job);
    else this.lanes.enter(job, known.lane, now);
  }

  /** A job whose turn it is among those of its key. */
  private enterLane(job: Job): void {
    const now = Date.now();
    const known = this.options.configCache.find(job.endpoint, job.route.version);
    if (known) this.lanes.enter(job, known.lane, now);
    else void this.defer(job, configUnavailable(now));
  }

  /** Partitions are another process's now: nothing that waits of theirs is ours to start. */
  lose(partitions: number[]): void {
    this.ordering.lose(partitions);
    this.lanes.dropLost(Date.now());
  }

  private start(job: Job): void {
    job.begin();
    const key = `${job.delivery}/${job.attempt}`;
    const repeats = this.underWay.get(key);
    if (repeats || this.recent.has(job.delivery, job.attempt)) {
      this.options.onRepeat();
      if (repeats) repeats.push(job);
      else job.finish();
      // How that attempt ended is not known here any more; if nothing is owed, the scheduler will say so.
      if (job.isOrdered) this.ordering.ended(job, true, job.asOf ?? 0);
      const now = Date.now();
      this.lanes.answered(job, 'none', now);
      this.lanes.recorded(job, now);
      return;
    }
    const following: Job[] = [];
    this.underWay.set(key, following);
    void this.deliver(job).then((isSettled) => {
      this.underWay.delete(key);
      if (isSettled) for (const finished of [job, ...following]) finished.finish();
      this.lanes.recorded(job, Date.now());
    });
  }

  /** True when what happened is in the log. */
  private async deliver(job: Job): Promise<boolean> {
    const answered = (outcome: AttemptOutcome): void =>
      this.lanes.answered(job, verdictOf(outcome), Date.now());
    const endpoint = this.options.configCache.find(job.endpoint, job.route.version);
    const goneBecause = endpoint?.goneBecause;
    if (endpoint && goneBecause) {
      this.lanes.answered(job, 'none', Date.now());
      return this.settle(job, cancelled(job, goneBecause, Date.now()), job.trace);
    }
    if (!endpoint || !this.canSign(endpoint)) {
      const now = Date.now();
      this.lanes.answered(job, 'none', now);
      return this.settle(job, deferred(job, configUnavailable(now), now), job.trace);
    }
    const isSettled = this.options.tracing
      ? await this.attemptTraced(job, endpoint, answered)
      : await this.settle(job, await this.attempt(job, endpoint, answered), job.trace);
    if (isSettled) this.recent.add(job.delivery, job.attempt, Date.now());
    return isSettled;
  }

  private async attempt(
    job: Job,
    endpoint: KnownEndpoint,
    answered: (outcome: AttemptOutcome) => void,
  ): Promise<DeliveryAttempted> {
    const event = await makeAttempt(this.options, job, endpoint, answered);
    this.options.shadows.follow(job, endpoint, event);
    return event;
  }

  private async attemptTraced(
    job: Job,
    endpoint: KnownEndpoint,
    answered: (outcome: AttemptOutcome) => void,
  ): Promise<boolean> {
    const names = {
      'posthaste.message': job.message.id,
      'posthaste.delivery': job.delivery,
      'posthaste.endpoint': job.endpoint,
      'posthaste.attempt': job.attempt,
    };
    // From its place in the lane until what happened is in the log; the request is a part of that.
    const dispatch = startSpan('delivery.dispatch', 'consumer', job.trace, names, job.enteredAt);
    const trace = traceparentOf(dispatch) ?? job.trace;
    const span = startSpan('delivery.attempt', 'client', trace, names);
    const event = await this.attempt(job, endpoint, answered);
    span.setAttribute('posthaste.outcome', event.error?.class ?? 'succeeded');
    if (event.response) span.setAttribute('http.response.status_code', event.response.status);
    span.end();
    const isSettled = await this.settle(job, event, trace);
    dispatch.end();
    return isSettled;
  }

  private async settle(job: Job, event: DeliveryEvent, trace: string | undefined): Promise<boolean> {
    const blocks = job.isOrdered && this.blocksItsKey(event);
    if (blocks && event.ordering) event.ordering.blocks = true;
    const offset = await this.options.settlement.append(event, trace);
    if (offset === null) return false;
    this.options.onSettled(event);
    if (job.isOrdered) this.ordering.ended(job, blocks || isOwedAfter(event), offset);
    return true;
  }

  private blocksItsKey(event: DeliveryEvent): boolean {
    if (event.type !== 'DeliveryAttempted' || event.decision.kind !== 'exhausted') return false;
    return this.options.configCache.find(event.endpoint, 0)?.state.onExhausted === 'block';
  }

  private async defer(job: Job, overflow: Overflow): Promise<void> {
    await this.putAway(job, deferred(job, overflow, Date.now()));
  }

  /** Ends a job that is not sent by this process, or not now. */
  private async putAway(job: Job, event: DeliveryEvent): Promise<void> {
    job.begin();
    if (await this.settle(job, event, job.trace)) job.finish();
  }

  private canSign(endpoint: KnownEndpoint): boolean {
    try {
      endpoint.wire();
      endpoint.oauth(Date.now());
      endpoint.clientCertificate();
      return true;
    } catch (error) {
      if (!this.unreadable.has(endpoint)) this.options.onSecretsUnreadable(endpoint.state.id, error);
      this.unreadable.add(endpoint);
      return false;
    }
  }
}

/** What waits for one before it comes when that is settled; this is only the earliest it may be. */
const COME_AGAIN_MS = 1_000;
/** How long a delivery whose endpoint is not known is put off; spread, so that those of one burst do not come back as one. */
const DEFER_MS = 5_000;
const DEFER_SPREAD_MS = 1_000;

function configUnavailable(now: number): Overflow {
  const until = now + DEFER_MS + Math.floor(Math.random() * DEFER_SPREAD_MS);
  return { reason: 'config_unavailable', until };
}

/** Whether the delivery has another attempt to come. */
function isOwedAfter(event: DeliveryEvent): boolean {
  return (
    event.type === 'DeliveryDeferred' ||
    (event.type === 'DeliveryAttempted' && event.decision.kind === 'retry')
  );
}

/** What failed on our own side says nothing about the receiver. */
function verdictOf(outcome: AttemptOutcome): LaneVerdict {
  if (outcome.kind === 'succeeded') return 'succeeded';
  switch (outcome.class) {
    case 'internal':
    case 'proxy':
      return 'none';
    case 'timeout':
    case 'connect_timeout':
      return 'overloaded';
    default:
      return outcome.status === 429 ? 'overloaded' : 'failed';
  }
}
