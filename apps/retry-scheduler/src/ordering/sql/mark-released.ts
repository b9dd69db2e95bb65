import type pg from 'pg';
import { NOW_MS } from '../../release/sql/claim-due.js';

/** Deliveries of ordering keys that were handed over. They stay in the index until an event says what became of them. */
export async function markReleased(client: pg.PoolClient, deliveries: string[]): Promise<void> {
  await client.query({
    name: 'mark-released',
    text: `update schedule.due set key_state = 'released', due_at = ${NOW_MS} where delivery = any($1::text[])`,
    values: [deliveries],
  });
}
