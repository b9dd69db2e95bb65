import type { ShadowAttempted } from '@posthaste/contracts';
import type pg from 'pg';

/** One row per copy; of one that was made again after a crash, the first report stays. */
export async function insertShadowAttempts(client: pg.PoolClient, events: ShadowAttempted[]): Promise<void> {
  await client.query({
    name: 'insert-shadow-attempts',
    text: `insert into history.shadow_attempt (delivery, number, event)
           select * from unnest($1::text[], $2::int[], $3::text[])
           on conflict (delivery, number) do nothing`,
    values: [
      events.map(({ delivery }) => delivery),
      events.map(({ attempt }) => attempt),
      events.map((event) => JSON.stringify(event)),
    ],
  });
}
