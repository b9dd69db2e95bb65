import { textArray } from '@posthaste/pg-arrays';
import type pg from 'pg';
import type { StateColumns } from '../delivery-row.js';

/** What is known so far of these deliveries; unknown ones are left out. */
export async function loadDeliveryStates(
  pool: pg.Pool,
  ids: string[],
): Promise<(StateColumns & { id: string })[]> {
  const { rows } = await pool.query<StateColumns & { id: string }>({
    name: 'load-delivery-states',
    text: `select id, status, attempts, next_attempt_at as "nextAttemptAt", settled_at as "settledAt",
             last_status_code as "lastStatusCode", last_error_class as "lastErrorClass", reason
           from history.delivery where id = any($1::text[])`,
    values: [textArray(ids)],
  });
  return rows;
}
