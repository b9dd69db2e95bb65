import { lowestId } from '@posthaste/contracts';
import type pg from 'pg';

const BATCH_ROWS = 1_000;

/** Deletes one batch of what was accepted before `before` (ms since 1970); answers how many rows. Counters stay. */
export async function deleteExpiredItems(pool: pg.Pool, before: number): Promise<number> {
  const { rowCount } = await pool.query(
    `delete from history.feed_item where ctid = any(array(
       select ctid from history.feed_item where message < $1 order by message limit ${BATCH_ROWS}))`,
    [lowestId('message', before)],
  );
  return rowCount ?? 0;
}
