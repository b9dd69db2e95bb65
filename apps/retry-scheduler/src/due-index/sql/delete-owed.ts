import type pg from 'pg';

/** Nothing is owed to these deliveries any more. */
export async function deleteOwed(client: pg.PoolClient, deliveries: string[]): Promise<void> {
  await client.query({
    name: 'delete-owed',
    text: 'delete from schedule.due where delivery = any($1::text[])',
    values: [deliveries],
  });
}
