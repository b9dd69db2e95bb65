import { topics } from '@posthaste/contracts';
import {
  type PartitionRef,
  PostgresProjection,
  type Position,
  type ProjectionBatch,
  type ProjectionStore,
} from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { type AttemptFact, glanceAt, toAttempt, type UncheckedEvent } from './attempt-fact.js';
import { type EndpointHealth, FRESH_MS, healthAfter, isWell, unknownHealth } from './endpoint-health.js';
import { type Action, insertActionsOn } from './sql/insert-actions.js';
import { loadHealth } from './sql/load-health.js';
import { upsertHealth } from './sql/upsert-health.js';

export const HEALTH_GROUP = 'endpoint-health';
export const healthTopics = [topics.deliveries];

export interface HealthHooks {
  /** A batch was committed that asks for something to be done. */
  onActions: () => void;
  /** Not a record of the topic. History keeps it for people; here it is passed over. */
  onUnreadable: (record: PartitionRef & { offset: number }, reason: string) => void;
}

/** Health is judged in days: what happens within a second shares one transaction. */
export const HEALTH_GATHER_MS = 1_000;

interface HealthChange {
  healths: Map<string, EndpointHealth>;
  actions: Action[];
}

/**
 * Keeps endpoint health, and beside it, in the same transaction, what is to be done about it: whoever dies between the
 * two loses neither. An endpoint that is known to be well, and goes on being so, is not even looked up.
 */
export class HealthProjection implements ProjectionStore {
  /**
   * The last known success of endpoints that are well. True as long as nobody else writes their rows, that is until
   * partitions are assigned anew or somebody else has moved a position.
   */
  private readonly well = new LRUCache<string, number>({ max: 100_000 });
  private readonly rows: PostgresProjection<HealthChange>;

  constructor(
    private readonly pool: pg.Pool,
    private readonly hooks: HealthHooks,
  ) {
    this.rows = new PostgresProjection({
      schema: 'health',
      pool,
      inTransaction: (work) => inTransaction(pool, work),
      read: (batches) => this.changeBy(batches.flatMap((batch) => this.readFacts(batch))),
      write: async (client, { healths, actions }) => {
        if (healths.size > 0) await upsertHealth(client, healths);
        if (actions.length > 0) await insertActionsOn(client, actions);
        return () => {
          for (const [endpoint, health] of healths) this.remember(endpoint, health);
          if (actions.length > 0) hooks.onActions();
        };
      },
      putAside: async (_client, { record, reason, ...at }) => {
        return () => hooks.onUnreadable({ ...at, offset: record.offset }, reason);
      },
    });
  }

  loadPositions(partitions: PartitionRef[]): Promise<Position[]> {
    this.well.clear();
    return this.rows.loadPositions(partitions);
  }

  apply(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    return this.rows.apply(batches);
  }

  private readFacts({ topic, partition, records }: ProjectionBatch): AttemptFact[] {
    const facts: AttemptFact[] = [];
    for (const { value, offset } of records) {
      try {
        const event = glanceAt(value);
        const fact = this.isMoreOfTheSame(event) ? null : toAttempt(event);
        if (fact) facts.push(fact);
        // What comes after a failure in this batch is not the same any more.
        if (fact?.outcome === 'failed') this.well.delete(fact.endpoint);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.hooks.onUnreadable({ topic, partition, offset }, reason);
      }
    }
    return facts;
  }

  /** One more success of an endpoint that is well: nothing to look up, nothing to write. */
  private isMoreOfTheSame({ type, endpoint, outcome, decision, startedAt }: UncheckedEvent): boolean {
    if (type !== 'DeliveryAttempted' || outcome !== 'succeeded' || decision?.endpointGone === true)
      return false;
    if (typeof endpoint !== 'string' || typeof startedAt !== 'number') return false;
    const lastSuccessAt = this.well.get(endpoint);
    return lastSuccessAt !== undefined && startedAt - lastSuccessAt < FRESH_MS;
  }

  /** Folds the attempts over the health of their endpoints; undefined when that leaves everything as it is. */
  private async changeBy(facts: AttemptFact[]): Promise<HealthChange | undefined> {
    if (facts.length === 0) return undefined;
    const judged = await loadHealth(this.pool, [...new Set(facts.map(({ endpoint }) => endpoint))]);
    const rulesOf = new Map(judged.map((one) => [one.endpoint, one]));
    const healths = new Map<string, EndpointHealth>();
    const actions: Action[] = [];
    for (const fact of facts) {
      const { tenant, account, endpoint } = fact;
      const known = rulesOf.get(endpoint);
      // Deleted meanwhile: there is nobody to judge.
      if (!known) continue;
      const before = healths.get(endpoint) ?? known.health ?? unknownHealth;
      const { health, consequences } = healthAfter(before, fact, known.rules);
      if (health !== before) healths.set(endpoint, health);
      for (const consequence of consequences) {
        if (consequence.kind === 'disable' || known.isWatched) {
          actions.push({ ...consequence, tenant, account, endpoint });
        }
      }
    }
    for (const { endpoint, health } of judged) {
      if (health && !healths.has(endpoint)) this.remember(endpoint, health);
    }
    return healths.size + actions.length > 0 ? { healths, actions } : undefined;
  }

  private remember(endpoint: string, health: EndpointHealth): void {
    if (isWell(health) && health.lastSuccessAt !== null) this.well.set(endpoint, health.lastSuccessAt);
    else this.well.delete(endpoint);
  }
}
