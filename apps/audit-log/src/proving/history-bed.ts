import { type AcceptedMessage, type DeliveryEvent, type EncodedRecord, topics } from '@posthaste/contracts';
import type { ProjectionBatch } from '@posthaste/event-log';
import { startTemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import type pg from 'pg';
import { historyProjection } from '../history/history.projection.js';
import { historyMigrations, replaysMigrations } from '../migrations.js';

/** History and replays on a PostgreSQL of their own, for specs. */
export interface HistoryBed {
  /** Of the database. */
  url: string;
  pool: pg.Pool;
  /** Throws at what it would put aside. */
  projection: ReturnType<typeof historyProjection>;
  stop(): Promise<void>;
}

export async function startHistoryBed(): Promise<HistoryBed> {
  const postgres = await startTemporaryPostgres('history');
  await migrate(postgres.url, 'history', historyMigrations);
  await migrate(postgres.url, 'replays', replaysMigrations);
  const { logger } = createLogger('history-spec', 'silent');
  const pool = createPool({ url: postgres.url, name: 'spec', max: 4, logger });
  const projection = historyProjection(pool, ({ reason }) => {
    throw new Error(reason);
  });
  return {
    url: postgres.url,
    pool,
    projection,
    stop: async () => {
      await pool.end();
      await postgres.remove();
    },
  };
}

/** Appends the facts, as it were, and projects them in one batch. */
export async function applyFacts(
  { projection }: HistoryBed,
  messages: AcceptedMessage[],
  events: DeliveryEvent[],
): Promise<void> {
  const batches = await Promise.all([
    batchOf(
      projection,
      topics.messages.name,
      messages.map((message) => topics.messages.encode(message)),
    ),
    batchOf(
      projection,
      topics.deliveries.name,
      events.map((event) => topics.deliveries.encode(event)),
    ),
  ]);
  const result = await projection.apply(batches.filter(({ records }) => records.length > 0));
  if (result !== 'applied') throw new Error(result);
}

async function batchOf(
  projection: HistoryBed['projection'],
  topic: string,
  records: EncodedRecord[],
): Promise<ProjectionBatch> {
  const [position] = await projection.loadPositions([{ topic, partition: 0 }]);
  const from = position?.offset ?? 0;
  const stored = records.map((record, i) => ({ ...record, offset: from + i, appendedAt: 0 }));
  return { topic, partition: 0, from, records: stored, next: from + records.length };
}
