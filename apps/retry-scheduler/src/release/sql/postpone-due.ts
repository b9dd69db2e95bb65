import type pg from 'pg';
import { NOW_MS } from './claim-due.js';

/** Moves claimed attempts to `byMs` from now. None stays parked: it would be the first of its lane again at once. */
export async function postponeDue(client: pg.PoolClient, deliveries: string[], byMs: number): Promise<void> {
  await client.query({
    name: 'postpone-due',
    text: `update schedule.due set due_at = ${NOW_MS} + $2::int, parked = false where delivery = any($1::text[])`,
    values: [deliveries, byMs],
  });
}
