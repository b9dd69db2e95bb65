import type { OwedKey } from '@posthaste/contracts';
import type pg from 'pg';

/** The ordering keys of a partition's accounts that are owed something, and how far the index had read when it said so. */
export async function listOwedKeys(
  pool: pg.Pool,
  partition: number,
): Promise<{ keys: OwedKey[]; asOf: number }> {
  const { rows } = await pool.query<OwedKey & { asOf: number }>({
    name: 'list-owed-keys',
    // The position comes with every row, and once without one, so that both are of one moment.
    text: `select k.*, coalesce(p.next, 0) as "asOf"
           from (select $1::int as partition) asked
           left join schedule.position p on p.topic = 'deliveries' and p.partition = asked.partition
           left join (
             select endpoint, ordering_key, min(position) as first, max(position) as last
             from schedule.due where ordering_key is not null and partition = $1
             group by endpoint, ordering_key
           ) k on true`,
    values: [partition],
  });
  return {
    keys: rows.flatMap(({ asOf: _, ...key }) => ((key.endpoint as string | null) === null ? [] : [key])),
    asOf: rows[0]?.asOf ?? 0,
  };
}
