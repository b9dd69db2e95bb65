import type pg from 'pg';

/** Which of these deliveries there are. */
export async function selectKnown(pool: pg.Pool, tenant: string, deliveries: string[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'select-known',
    text: 'select id from history.delivery where id = any($1::text[]) and tenant = $2',
    values: [deliveries, tenant],
  });
  return new Set(rows.map(({ id }) => id));
}
