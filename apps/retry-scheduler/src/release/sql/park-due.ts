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
 */
export async function parkDueOf(client: pg.PoolClient, endpoints: string[], limit: number): Promise<number> {
  const { rowCount } = await client.query({
    name: 'park-due-of',
    text: `update schedule.due set parked = true where delivery in (
             select d.delivery from (
               select delivery, endpoint from schedule.due
               where not parked and due_at <= ${NOW_MS} order by due_at limit $2
             ) earliest
             join schedule.due d on d.delivery = earliest.delivery
             where earliest.endpoint = any($1::text[]) and not d.parked
             for update of d skip locked
           )`,
    values: [endpoints, limit],
  });
  return rowCount ?? 0;
}
