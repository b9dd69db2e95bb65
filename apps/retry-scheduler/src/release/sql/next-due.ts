import type pg from 'pg';
import { NOW_MS } from './claim-due.js';

/** Milliseconds until the next attempt whose time has not come falls due, by the database's clock; null: there is none. */
export async function msUntilNextDue(pool: pg.Pool): Promise<number | null> {
  const { rows } = await pool.query<{ ms: number }>({
    name: 'next-due',
    text: `select due_at - ${NOW_MS} as ms from schedule.due
           where not parked and not held and due_at > ${NOW_MS} order by due_at limit 1`,
  });
  return rows[0]?.ms ?? null;
}
