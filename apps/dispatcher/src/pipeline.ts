import type { DeliveryAttempted, DeliveryDeferred, DeliveryEvent } from '@posthaste/contracts';
import { startSpan, traceparentOf } from '@posthaste/runtime';
import type { ConfigCache } from './config-cache/config-cache.js';
import type { KnownEndpoint } from './config-cache/known-endpoint.js';
import type { Job } from './intake/job.js';
import { RecentAttempts } from './intake/recent-attempts.js';
import { laneRules } from './lanes/lane.js';
import { Lanes } from './lanes/lanes.js';
import { makeAttempt, type Outbound } from './send/attempt.js';
import { cancelled, deferred } from './settle/delivery-key.js';
import type { Settlement } from './settle/settlement.js';

/**
 * The way of one job, top to bottom:
 *
 *   admit    the endpoint is known at the stamped version, or becomes so within 2 s; else deferred
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
  laneInFlight: number;
  inFlight: number;
  tracing: boolean;
  onSettled(event: DeliveryEvent): void;
  onRepeat(): void;
  onSecretsUnreadable(endpoint: string, error: unknown): void;
}

const CONFIG_WAIT_MS = 2_000;
const SWEEP_EVERY_MS = 100;

export class Pipeline {
  readonly lanes: Lanes<Job>;
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
      start: (job) => this.start(job),
      overflow: (job, reason) => void this.defer(job, reason),
    });
    this.sweeping = setInterval(() => this.lanes.sweep(Date.now()), SWEEP_EVERY_MS);
  }

  admit(jobs: Job[]): void {
    const now = Date.now();
    for (const job of jobs) {
      if (this.options.configCache.find(job.endpoint, job.route.version)) this.lanes.enter(job, now);
      else void this.admitLater(job);
    }
  }

  /** Starts nothing more; resolves when what was started is in the log, or the time is up. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.isStopping = true;
    clearInterval(this.sweeping);
    return this.lanes.drain(timeoutMs);
  }

  private async admitLater(job: Job): Promise<void> {
    const known = await this.options.configCache.whenAtLeast(job.endpoint, job.route.version, CONFIG_WAIT_MS);
    if (job.isLost || this.isStopping) return;
    if (known) this.lanes.enter(job, Date.now());
    else await this.defer(job, 'config_unavailable');
  }

  private start(job: Job): void {
    job.begin();
    const key = `${job.delivery}/${job.attempt}`;
    const repeats = this.underWay.get(key);
    if (repeats || this.recent.has(job.delivery, job.attempt)) {
      this.options.onRepeat();
      if (repeats) repeats.push(job);
      else job.finish();
      this.lanes.answered(job.endpoint, Date.now());
      this.lanes.recorded();
      return;
    }
    const following: Job[] = [];
    this.underWay.set(key, following);
    void this.deliver(job).then((isSettled) => {
      this.underWay.delete(key);
      if (isSettled) for (const finished of [job, ...following]) finished.finish();
      this.lanes.recorded();
    });
  }

  /** True when what happened is in the log. */
  private async deliver(job: Job): Promise<boolean> {
    const answered = (): void => this.lanes.answered(job.endpoint, Date.now());
    const endpoint = this.options.configCache.find(job.endpoint, job.route.version);
    const goneBecause = endpoint?.goneBecause;
    if (endpoint && goneBecause) {
      answered();
      return this.settle(cancelled(job, goneBecause, Date.now()), job.trace);
    }
    if (!endpoint || !this.canSign(endpoint)) {
      answered();
      return this.settle(deferred(job, 'config_unavailable', Date.now(), Math.random()), job.trace);
    }
    const isSettled = this.options.tracing
      ? await this.attemptTraced(job, endpoint, answered)
      : await this.settle(await makeAttempt(this.options, job, endpoint, answered), job.trace);
    if (isSettled) this.recent.add(job.delivery, job.attempt, Date.now());
    return isSettled;
  }

  private async attemptTraced(job: Job, endpoint: KnownEndpoint, answered: () => void): Promise<boolean> {
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
    const event: DeliveryAttempted = await makeAttempt(this.options, job, endpoint, answered);
    span.setAttribute('posthaste.outcome', event.error?.class ?? 'succeeded');
    if (event.response) span.setAttribute('http.response.status_code', event.response.status);
    span.end();
    const isSettled = await this.settle(event, trace);
    dispatch.end();
    return isSettled;
  }

  private async settle(event: DeliveryEvent, trace: string | undefined): Promise<boolean> {
    const isInLog = await this.options.settlement.append(event, trace);
    if (isInLog) this.options.onSettled(event);
    return isInLog;
  }

  private async defer(job: Job, reason: DeliveryDeferred['reason']): Promise<void> {
    job.begin();
    const event = deferred(job, reason, Date.now(), Math.random());
    if (await this.settle(event, job.trace)) job.finish();
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
