import type pg from 'pg';

/** The endpoints that have parked deliveries: one step in the index for each, however much it has parked. */
export async function listParkedLanes(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ endpoint: string }>({
    name: 'list-parked-lanes',
    text: `with recursive lane (endpoint) as (
             (select endpoint from schedule.due where parked and not held order by endpoint limit 1)
             union all
             select (select d.endpoint from schedule.due d
                     where d.parked and not d.held and d.endpoint > lane.endpoint order by d.endpoint limit 1)
             from lane where lane.endpoint is not null
           )
           select endpoint from lane where endpoint is not null`,
  });
  return rows.map((row) => row.endpoint);
}
