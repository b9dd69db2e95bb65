import { type DeliveryEvent, topics } from '@posthaste/contracts';
import { type PartitionRef, PostgresProjection, type ProjectionBatch } from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { type OwedAttempt, owedAfter } from './owed-attempt.js';
import { letFirstGo, type OwedKeyRef } from '../ordering/sql/let-first-go.js';
import { deleteOwed } from './sql/delete-owed.js';
import { loadOwed } from './sql/load-owed.js';
import { upsertOwed, waitsForLane } from './sql/upsert-owed.js';

export const SCHEDULER_GROUP = 'retry-scheduler';
export const scheduledTopics = [topics.deliveries];

export interface DueIndexHooks {
  /** Each event, before its rows are written; told again when its batch is tried again. */
  onEvent: (event: DeliveryEvent) => void;
  /** A batch was committed; the earliest of what it brought for a time is due then. */
  onOwed: (earliestDueAt: number) => void;
  /** A batch was committed that parked deliveries of these endpoints. */
  onParked: (endpoints: Set<string>) => void;
  /** Not a record of the topic. History keeps it for people; here it is passed over. */
  onUnreadable: (record: PartitionRef & { offset: number }, reason: string) => void;
}

/** An attempt is put into the index this much later at most: in time, for the shortest delay of a policy is seconds. */
export const DUE_GATHER_MS = 250;

interface IndexChange {
  gone: string[];
  owed: OwedAttempt[];
  /** Ordering keys something of which has changed. */
  keys: OwedKeyRef[];
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
      for (const { event } of events) hooks.onEvent(event);
      return events.length > 0 ? changeBy(pool, events) : undefined;
    },
    write: async (client, { gone, owed, keys }) => {
      if (gone.length > 0) await deleteOwed(client, gone);
      if (owed.length > 0) await upsertOwed(client, owed);
      const letGo = keys.length > 0 ? await letFirstGo(client, keys) : [];
      const free = owed.filter((row) => row.ordering === null);
      return () => {
        const parked = [...free.filter(waitsForLane), ...letGo.filter((row) => row.parked)];
        const timed = [...free.filter((row) => !waitsForLane(row)), ...letGo.filter((row) => !row.parked)];
        if (timed.length > 0) hooks.onOwed(timed.reduce((min, row) => Math.min(min, row.dueAt), Infinity));
        if (parked.length > 0) hooks.onParked(new Set(parked.map((row) => row.endpoint)));
      };
    },
    putAside: async (_client, { record, reason, ...at }) => {
      return () => hooks.onUnreadable({ ...at, offset: record.offset }, reason);
    },
  });
}

interface ReadEvent {
  event: DeliveryEvent;
  partition: number;
}

function readEvents({ topic, partition, records }: ProjectionBatch, hooks: DueIndexHooks): ReadEvent[] {
  const events: ReadEvent[] = [];
  for (const record of records) {
    try {
      events.push({ event: topics.deliveries.decode(record), partition });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      hooks.onUnreadable({ topic, partition, offset: record.offset }, reason);
    }
  }
  return events;
}

/** Folds the events over what is owed; undefined when that leaves the index as it is. */
async function changeBy(pool: pg.Pool, events: ReadEvent[]): Promise<IndexChange | undefined> {
  const stored = await loadOwed(pool, [...new Set(events.map(({ event }) => event.delivery))]);
  const before = new Map(stored.map((row) => [row.delivery, row]));
  const after = new Map<string, OwedAttempt | null>(before);
  for (const { event, partition } of events) {
    after.set(event.delivery, owedAfter(after.get(event.delivery) ?? null, event, partition));
  }
  const changed = [...after].filter(([delivery, owed]) => owed !== (before.get(delivery) ?? null));
  if (changed.length === 0) return undefined;
  return {
    gone: changed.filter(([, owed]) => owed === null).map(([delivery]) => delivery),
    owed: changed.map(([, row]) => row).filter((row) => row !== null),
    keys: keysOf(changed.flatMap(([delivery, row]) => [row, before.get(delivery)])),
  };
}

/** The ordering keys these belong to, each once. */
export function keysOf(rows: (OwedAttempt | null | undefined)[]): OwedKeyRef[] {
  const keys = new Map<string, OwedKeyRef>();
  for (const row of rows) {
    if (!row?.ordering) continue;
    const { endpoint } = row;
    const { partition, key } = row.ordering;
    keys.set(`${endpoint} ${key}`, { partition, endpoint, key });
  }
  return [...keys.values()];
}
