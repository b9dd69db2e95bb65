import type pg from 'pg';
import { NOW_MS } from './claim-due.js';

/** Parks claimed attempts. */
export async function parkDue(client: pg.PoolClient, deliveries: string[]): Promise<void> {
  await client.query({
    name: 'park-due',
    text: 'update schedule.due set parked = true where delivery = any($1::text[])',
    values: [deliveries],
  });
}

/**
 * Parks what is due of these endpoints among the `limit` earliest that are due, and answers how many that were. Bounded
 * by what it looks at and not by what it finds: what is due of others must not be read over and over.
 *
 * By their ids alone, for parking one that was parked meanwhile changes nothing, and a condition on it would have the
 * index of what is due read whole. Through arrays and not by joins, which a plan made while the index was empty would answer by reading it whole.
 */
export async function parkDueOf(client: pg.PoolClient, endpoints: string[], limit: number): Promise<number> {
  const { rowCount } = await client.query({
    name: 'park-due-of',
    text: `with locked as materialized (
             select delivery from schedule.due
             where delivery = any(array(
               select delivery from (
                 select delivery, endpoint from schedule.due
                 where not parked and not held and due_at <= ${NOW_MS} order by due_at limit $2
               ) earliest
               where endpoint = any($1::text[])
             ))
             for update skip locked
           )
           update schedule.due set parked = true where delivery = any(array(select delivery from locked))`,
    values: [endpoints, limit],
  });
  return rowCount ?? 0;
}
