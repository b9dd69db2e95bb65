import { type HealthFact, topics } from '@posthaste/contracts';
import { type PartitionRef, PostgresProjection, type ProjectionBatch } from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { type EndpointHealth, healthAfter, unknownHealth } from './endpoint-health.js';
import { type Action, insertActionsOn } from './sql/insert-actions.js';
import { loadHealth } from './sql/load-health.js';
import { upsertHealth } from './sql/upsert-health.js';

export const HEALTH_GROUP = 'endpoint-health';
export const healthTopics = [topics.health];

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
 * two loses neither.
 */
export function healthProjection(pool: pg.Pool, hooks: HealthHooks): PostgresProjection<HealthChange> {
  return new PostgresProjection({
    schema: 'health',
    pool,
    inTransaction: (work) => inTransaction(pool, work),
    read: (batches) =>
      changeBy(
        pool,
        batches.flatMap((batch) => readFacts(batch, hooks)),
      ),
    write: async (client, { healths, actions }) => {
      if (healths.size > 0) await upsertHealth(client, healths);
      if (actions.length > 0) await insertActionsOn(client, actions);
      return () => {
        if (actions.length > 0) hooks.onActions();
      };
    },
    putAside: async (_client, { record, reason, ...at }) => {
      return () => hooks.onUnreadable({ ...at, offset: record.offset }, reason);
    },
  });
}

function readFacts({ topic, partition, records }: ProjectionBatch, hooks: HealthHooks): HealthFact[] {
  const facts: HealthFact[] = [];
  for (const record of records) {
    try {
      facts.push(topics.health.decode(record));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      hooks.onUnreadable({ topic, partition, offset: record.offset }, reason);
    }
  }
  return facts;
}

/** Folds the attempts over the health of their endpoints; undefined when that leaves everything as it is. */
async function changeBy(pool: pg.Pool, facts: HealthFact[]): Promise<HealthChange | undefined> {
  if (facts.length === 0) return undefined;
  const judged = await loadHealth(pool, [...new Set(facts.map(({ endpoint }) => endpoint))]);
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
  return healths.size + actions.length > 0 ? { healths, actions } : undefined;
}
