import { type DeliveryAttempted, type HealthFact, healthFactOf } from '@posthaste/contracts';
import { LRUCache } from 'lru-cache';

/**
 * Which attempts are told to those who judge endpoints, beside the history that holds them all: every failure, the first
 * success after one, and of an endpoint that is well one success in five minutes. So an endpoint that is well costs
 * nothing, and reading how a million deliveries a day went takes as long as what went wrong.
 *
 * All attempts of an account are made by one process, so it knows what it has told. Of what another process told it
 * knows nothing: when partitions move it begins anew, with the next success of each endpoint.
 */
const FRESH_MS = 300_000;
const MOST = 100_000;

export class HealthWatch {
  /** When the success began that was told last, and no failure since. */
  private readonly well = new LRUCache<string, number>({ max: MOST });
  /** A success that is being told, unless a failure has come since. */
  private readonly telling = new Map<string, HealthFact>();

  /** Null: it is more of the same. What is answered is to be told together with the attempt. */
  factOf(event: DeliveryAttempted): HealthFact | null {
    const { endpoint, outcome, decision, startedAt } = event;
    if (outcome === 'failed') {
      this.well.delete(endpoint);
      this.telling.delete(endpoint);
      return healthFactOf(event);
    }
    const toldAt = this.well.get(endpoint);
    const isFresh = toldAt !== undefined && startedAt - toldAt < FRESH_MS;
    const isGone = decision.kind === 'delivered' && decision.endpointGone === true;
    if (isFresh && !isGone) return null;
    const fact = healthFactOf(event);
    this.telling.set(endpoint, fact);
    return fact;
  }

  /** It is in the log. */
  told(fact: HealthFact): void {
    if (this.telling.get(fact.endpoint) !== fact) return;
    this.telling.delete(fact.endpoint);
    this.well.set(fact.endpoint, fact.startedAt);
  }

  /** Others may tell of the same endpoints now. */
  forget(): void {
    this.well.clear();
    this.telling.clear();
  }
}
