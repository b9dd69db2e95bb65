import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { DAY_MS } from '../history/payload-keys.js';
import { indexedSince, noteGap } from '../history/sql/insert-payload-keys.js';

/** Whoever searches or writes meanwhile waits for us to get it; the next sweep tries again. */
const LOCK_WAIT_MS = 500;
const LOCK_NOT_AVAILABLE = '55P03';

/** Drops the keys of the days that are not searched by an index any more. Answers how many days. */
export async function dropPayloadKeys(pool: pg.Pool, nowMs: number): Promise<number> {
  const { rows } = await pool.query<{ day: number }>(
    `select substring(relname from '\\d+$')::int as day from pg_inherits join pg_class c on c.oid = inhrelid
     where inhparent = 'history.payload_key'::regclass order by 1`,
  );
  let dropped = 0;
  for (const { day } of rows) {
    const end = (day + 1) * DAY_MS;
    if (end > indexedSince(nowMs)) break;
    if (await dropDay(pool, day, end)) dropped++;
  }
  return dropped;
}

/** The table before the gap is noted, as those who write keys do it: nobody waits for each other. */
async function dropDay(pool: pg.Pool, day: number, end: number): Promise<boolean> {
  try {
    await inTransaction(pool, async (client) => {
      await client.query(`set local lock_timeout = ${LOCK_WAIT_MS}`);
      await client.query(`drop table if exists history.payload_key_${day}`);
      await noteGap(client, end);
    });
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}
