import { lowestId } from '@posthaste/contracts';
import type pg from 'pg';
import { tablesByTime } from '../history/tables-by-time.js';

/** Rows deleted by one statement: short enough that nobody waits for it. */
const BATCH_ROWS = 1_000;

/** Deletes one batch of what belongs to messages accepted before `before` (ms since 1970); answers how many rows. */
export async function deleteExpired(pool: pg.Pool, before: number): Promise<number> {
  let deleted = 0;
  for (const { table, key, of } of tablesByTime) {
    const { rowCount } = await pool.query(
      `delete from history.${table} where ctid = any(array(
         select ctid from history.${table} where ${key} < $1 order by ${key} limit ${BATCH_ROWS}))`,
      [lowestId(of, before)],
    );
    deleted += rowCount ?? 0;
  }
  return deleted;
}
