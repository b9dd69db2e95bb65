import { partitionKey, type ProjectionBatch } from '@posthaste/event-log';
import type pg from 'pg';
import type { historyProjection } from '../history.projection.js';
import type { GoldenRecord } from './histories.js';

/** The rows of every table, by its name. */
export type GoldenRows = Record<string, Record<string, unknown>[]>;

/** Folds the records into empty tables, topic by topic in batches of at most `batchRecords`, and answers all rows. */
export async function foldGolden(
  pool: pg.Pool,
  projection: ReturnType<typeof historyProjection>,
  records: GoldenRecord[],
  batchRecords: number,
): Promise<GoldenRows> {
  const tables = await historyTables(pool);
  await pool.query(`truncate ${tables.map((table) => `history.${table}`).join(', ')}, history.position`);
  const nextOf = new Map<string, number>();
  for (let at = 0; at < records.length; at += batchRecords) {
    for (const batch of batchesOf(records.slice(at, at + batchRecords), nextOf)) {
      await projection.loadPositions([batch]);
      if ((await projection.apply([batch])) !== 'applied')
        throw new Error('somebody else writes this history');
    }
  }
  const rows: GoldenRows = {};
  for (const table of tables) {
    const found = await pool.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(t) as row from history.${table} t order by to_jsonb(t)::text`,
    );
    if (found.rows.length > 0) rows[table] = found.rows.map(({ row }) => row);
  }
  return rows;
}

async function historyTables(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select tablename as name from pg_tables
     where schemaname = 'history' and tablename not in ('position', 'migration') order by 1`,
  );
  return rows.map(({ name }) => name);
}

function batchesOf(records: GoldenRecord[], nextOf: Map<string, number>): ProjectionBatch[] {
  const batches = new Map<string, ProjectionBatch>();
  for (const { topic, meta, value } of records) {
    const ref = { topic, partition: 0 };
    const from = nextOf.get(partitionKey(ref)) ?? 0;
    const batch = batches.get(topic) ?? { ...ref, from, next: from, records: [] };
    const stored = { key: '', value: Buffer.from(value), offset: batch.next, appendedAt: 0 };
    batch.records.push(meta === undefined ? stored : { ...stored, meta });
    batch.next++;
    batches.set(topic, batch);
    nextOf.set(partitionKey(ref), batch.next);
  }
  return [...batches.values()];
}
