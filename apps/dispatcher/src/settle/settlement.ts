import { type DeliveryEvent, topics } from '@posthaste/contracts';
import { EventLogError, type LogProducer, type OutgoingRecord } from '@posthaste/event-log';
import { HealthWatch } from './health-watch.js';

/**
 * Writes what happened to the log, for as long as it takes. The record it came from stays undone meanwhile, so a
 * process that dies here has its work done again by the next owner: a repeat, with the same id and attempt number.
 *
 * Beside an attempt it tells, in the same append, what is new of its endpoint's health (`HealthWatch`).
 *
 * Goes on trying when the partition was lost: a late event of an attempt that was made is still a fact.
 */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;

export class Settlement {
  readonly health = new HealthWatch();
  private isClosed = false;

  constructor(
    private readonly producer: LogProducer,
    private readonly onRetry: (error: unknown) => void,
  ) {}

  /** The event's offset. Null: the process is ending and the event is not known to be in the log. */
  async append(event: DeliveryEvent, trace: string | undefined): Promise<number | null> {
    const fact = event.type === 'DeliveryAttempted' ? this.health.factOf(event) : null;
    const records: OutgoingRecord[] = [
      { topic: topics.deliveries, ...topics.deliveries.encode(event), trace },
    ];
    if (fact) records.push({ topic: topics.health, ...topics.health.encode(fact) });
    for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      try {
        const [position] = await this.producer.append(records);
        if (fact) this.health.told(fact);
        return position?.offset ?? null;
      } catch (error) {
        this.onRetry(error);
        if (this.isClosed || (error instanceof EventLogError && !error.retryable)) return null;
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /** The try under way is the last one. */
  close(): void {
    this.isClosed = true;
  }
}
