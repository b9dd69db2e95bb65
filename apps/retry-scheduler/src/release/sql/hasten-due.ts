import type pg from 'pg';
import { NOW_MS } from './claim-due.js';

/** Makes all that is owed to these endpoints due now. Rare: no index is kept for it. */
export async function hastenDue(pool: pg.Pool | pg.ClientBase, endpoints: string[]): Promise<void> {
  await pool.query({
    name: 'hasten-due',
    text: `update schedule.due set due_at = ${NOW_MS} where endpoint = any($1::text[]) and due_at > ${NOW_MS}`,
    values: [endpoints],
  });
}
