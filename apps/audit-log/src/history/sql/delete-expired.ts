import { lowestId } from '@posthaste/contracts';
import type pg from 'pg';

/** Rows deleted by one statement: short enough that nobody waits for it. */
const BATCH_ROWS = 1_000;

/**
 * Deletes one batch of what belongs to messages accepted before `before` (ms since 1970); answers how many rows. Ids
 * begin with their message's time, so the primary keys find what is old and no index on time is needed.
 */
export async function deleteExpired(pool: pg.Pool, before: number): Promise<number> {
  const tables = [
    { table: 'attempt', key: 'delivery', bound: lowestId('delivery', before) },
    { table: 'shadow_attempt', key: 'delivery', bound: lowestId('delivery', before) },
    { table: 'requested_attempt', key: 'delivery', bound: lowestId('delivery', before) },
    { table: 'delivery', key: 'id', bound: lowestId('delivery', before) },
    { table: 'message', key: 'id', bound: lowestId('message', before) },
  ];
  let deleted = 0;
  for (const { table, key, bound } of tables) {
    const { rowCount } = await pool.query(
      `delete from history.${table} where ctid = any(array(
         select ctid from history.${table} where ${key} < $1 order by ${key} limit ${BATCH_ROWS}))`,
      [bound],
    );
    deleted += rowCount ?? 0;
  }
  return deleted;
}
