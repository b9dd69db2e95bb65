import { type DeliveryEvent, topics } from '@posthaste/contracts';
import { type PartitionRef, PostgresProjection, type ProjectionBatch } from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { type OwedAttempt, owedAfter } from './owed-attempt.js';
import { deleteOwed } from './sql/delete-owed.js';
import { loadOwed } from './sql/load-owed.js';
import { upsertOwed } from './sql/upsert-owed.js';

export const SCHEDULER_GROUP = 'retry-scheduler';
export const scheduledTopics = [topics.deliveries];

export interface DueIndexHooks {
  /** A batch was committed; the earliest of what it brought is due at this time. */
  onOwed: (earliestDueAt: number) => void;
  /** An attempt of the endpoint was made, or given up with its delivery; told again when its batch is tried again. */
  onCompleted: (endpoint: string) => void;
  /** Not a record of the topic. History keeps it for people; here it is passed over. */
  onUnreadable: (record: PartitionRef & { offset: number }, reason: string) => void;
}

/** An attempt is put into the index this much later at most: in time, for the shortest delay of a policy is seconds. */
export const DUE_GATHER_MS = 250;

interface IndexChange {
  gone: string[];
  owed: OwedAttempt[];
}

/**
 * Keeps the due index: most events settle a delivery that was owed nothing, so a batch costs one look at the index and
 * its position. It commits without waiting for the disk: rows and position are lost together and read again.
 */
export function dueIndexProjection(pool: pg.Pool, hooks: DueIndexHooks): PostgresProjection<IndexChange> {
  return new PostgresProjection({
    schema: 'schedule',
    pool,
    inTransaction: (work) => inTransaction(pool, work),
    read: async (batches) => {
      const events = batches.flatMap((batch) => readEvents(batch, hooks));
      for (const { type, endpoint } of events) if (type !== 'DeliveryDeferred') hooks.onCompleted(endpoint);
      return events.length > 0 ? changeBy(pool, events) : undefined;
    },
    write: async (client, { gone, owed }) => {
      if (gone.length > 0) await deleteOwed(client, gone);
      if (owed.length > 0) await upsertOwed(client, owed);
      return () => {
        if (owed.length > 0) hooks.onOwed(owed.reduce((min, row) => Math.min(min, row.dueAt), Infinity));
      };
    },
    putAside: async (_client, { record, reason, ...at }) => {
      return () => hooks.onUnreadable({ ...at, offset: record.offset }, reason);
    },
  });
}

function readEvents({ topic, partition, records }: ProjectionBatch, hooks: DueIndexHooks): DeliveryEvent[] {
  const events: DeliveryEvent[] = [];
  for (const record of records) {
    try {
      events.push(topics.deliveries.decode(record));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      hooks.onUnreadable({ topic, partition, offset: record.offset }, reason);
    }
  }
  return events;
}

/** Folds the events over what is owed; undefined when that leaves the index as it is. */
async function changeBy(pool: pg.Pool, events: DeliveryEvent[]): Promise<IndexChange | undefined> {
  const stored = await loadOwed(pool, [...new Set(events.map((event) => event.delivery))]);
  const before = new Map(stored.map((row) => [row.delivery, row]));
  const after = new Map<string, OwedAttempt | null>(before);
  for (const event of events) after.set(event.delivery, owedAfter(after.get(event.delivery) ?? null, event));
  const changed = [...after].filter(([delivery, owed]) => owed !== (before.get(delivery) ?? null));
  if (changed.length === 0) return undefined;
  return {
    gone: changed.filter(([, owed]) => owed === null).map(([delivery]) => delivery),
    owed: changed.map(([, row]) => row).filter((row) => row !== null),
  };
}
