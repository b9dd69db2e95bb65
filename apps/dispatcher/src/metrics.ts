import type { Meter } from '@opentelemetry/api';
import type { DeliveryEvent } from '@posthaste/contracts';
import type { Lanes } from '@posthaste/delivery';
import type { ConfigCache } from './config-cache/config-cache.js';
import type { Intake } from './intake/intake.js';
import type { Job } from './intake/job.js';

/**
 * What an operator watches of a dispatcher. Counted in plain numbers and read when scraped: a counter of the metrics
 * library costs as much per attempt as signing.
 */
export class DispatcherMetrics {
  private readonly outcomes = new Map<string, number>();
  private readonly deferrals = new Map<string, number>();
  private readonly cancellations = new Map<string, number>();
  private readonly shadows = new Map<string, number>();
  private shadowsLeftOut = 0;
  private readonly tokenAnswers = new Map<string, number>();
  private repeats = 0;
  private unreadable = 0;
  private appendRetries = 0;

  constructor(private readonly meter: Meter) {
    this.counter(
      'posthaste_attempts',
      'Attempts by outcome: succeeded or the error class',
      'outcome',
      this.outcomes,
    );
    this.counter('posthaste_deferrals', 'Deliveries put off, by reason', 'reason', this.deferrals);
    this.counter('posthaste_cancellations', 'Deliveries cancelled, by reason', 'reason', this.cancellations);
    this.counter(
      'posthaste_shadow_attempts',
      'Copies sent to shadow URLs, by outcome',
      'outcome',
      this.shadows,
    );
    this.total(
      'posthaste_shadow_attempts_left_out',
      'Copies not sent because too many were under way',
      () => this.shadowsLeftOut,
    );
    this.counter(
      'posthaste_token_requests',
      "Requests to receivers' token servers by outcome: token or the error class",
      'outcome',
      this.tokenAnswers,
    );
    this.total(
      'posthaste_repeats_dropped',
      'Attempts handed out again and not made again',
      () => this.repeats,
    );
    this.total(
      'posthaste_records_unreadable',
      'Records put aside because they do not decode',
      () => this.unreadable,
    );
    this.total(
      'posthaste_append_retries',
      'Appends of events that had to be tried again',
      () => this.appendRetries,
    );
  }

  settled(event: DeliveryEvent): void {
    switch (event.type) {
      case 'DeliveryAttempted':
        return increment(this.outcomes, event.error?.class ?? 'succeeded');
      case 'DeliveryDeferred':
        return increment(this.deferrals, event.reason);
      case 'DeliveryCancelled':
        return increment(this.cancellations, event.reason);
      case 'DeliveryRequested':
        // Asked for by others; what comes of it is counted.
        return;
      case 'ShadowAttempted':
        return increment(this.shadows, event.error?.class ?? 'succeeded');
    }
  }

  shadowLeftOut(): void {
    this.shadowsLeftOut++;
  }

  tokenAnswered(outcome: string): void {
    increment(this.tokenAnswers, outcome);
  }

  repeated(): void {
    this.repeats++;
  }

  putAside(): void {
    this.unreadable++;
  }

  appendRetried(): void {
    this.appendRetries++;
  }

  /** The gauges of a running dispatcher. */
  observe(lanes: Lanes<Job>, intake: Intake, configCache: ConfigCache): void {
    const state = () => intake.state(Date.now());
    this.gauge(
      'posthaste_attempts_in_flight',
      'Attempts started and not in the log yet',
      () => lanes.inFlight,
    );
    this.gauge('posthaste_lanes', 'Endpoints with work, or remembered', () => lanes.size);
    this.gauge('posthaste_lanes_open', 'Endpoints that are down: probed, not called', () => lanes.open);
    this.gauge('posthaste_lane_queue', 'Deliveries waiting in lanes', () => lanes.queued);
    this.gauge('posthaste_window_records', 'Records taken and not done', () => state().records);
    this.gauge('posthaste_window_bytes', 'Payload bytes of records taken and not done', () => state().bytes);
    this.gauge(
      'posthaste_watermark_age_seconds',
      'How long the slowest partition has not moved its low watermark; above 30 something is stuck',
      () => state().watermarkAgeMs / 1000,
    );
    this.gauge('posthaste_endpoints_known', 'Endpoints in the configuration cache', () => configCache.size);
  }

  private gauge(name: string, description: string, read: () => number): void {
    this.meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(read()));
  }

  private total(name: string, description: string, read: () => number): void {
    this.meter.createObservableCounter(name, { description }).addCallback((result) => result.observe(read()));
  }

  private counter(name: string, description: string, label: string, counts: Map<string, number>): void {
    this.meter.createObservableCounter(name, { description }).addCallback((result) => {
      for (const [value, count] of counts) result.observe(count, { [label]: value });
    });
  }
}

function increment(counts: Map<string, number>, value: string): void {
  counts.set(value, (counts.get(value) ?? 0) + 1);
}
