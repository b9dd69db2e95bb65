import { lowestId } from '@posthaste/contracts';
import type pg from 'pg';
import { tablesByTime } from '../history/tables-by-time.js';

/** Rows deleted by one statement: short enough that nobody waits for it. */
const BATCH_ROWS = 1_000;

/** Deletes one batch of what belongs to messages accepted before `before` (ms since 1970); answers how many rows. */
export async function deleteExpired(pool: pg.Pool, before: number): Promise<number> {
  const old: { table: string; key: string; bound: string | number }[] = [
    ...tablesByTime.map(({ table, key, of }) => ({ table, key, bound: lowestId(of, before) })),
    // Counts of many messages, which belong to none of them.
    { table: 'endpoint_minute', key: 'minute', bound: Math.floor(before / 60_000) },
  ];
  let deleted = 0;
  for (const { table, key, bound } of old) {
    const { rowCount } = await pool.query(
      `delete from history.${table} where ctid = any(array(
         select ctid from history.${table} where ${key} < $1 order by ${key} limit ${BATCH_ROWS}))`,
      [bound],
    );
    deleted += rowCount ?? 0;
  }
  return deleted + (await deleteExpiredKeys(pool, before));
}

/** Of an installation that keeps less than the index of payloads does. Of a table in parts, so not by `ctid`. */
async function deleteExpiredKeys(pool: pg.Pool, before: number): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from history.payload_key where message = any(array(
       select message from history.payload_key where message < $1 order by message limit ${BATCH_ROWS}))`,
    [lowestId('message', before)],
  );
  return rowCount ?? 0;
}
