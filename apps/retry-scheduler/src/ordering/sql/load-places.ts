import type pg from 'pg';

/** Where a claimed delivery stands in its key. */
export interface Place {
  delivery: string;
  isFirst: boolean;
  /** Those before it that were not handed over yet. */
  before: string[];
  /** How far `deliveries` had been read when that was so. */
  asOf: number;
}

export async function loadPlaces(client: pg.PoolClient, deliveries: string[]): Promise<Place[]> {
  const { rows } = await client.query<Place>({
    name: 'load-places',
    text: `select d.delivery,
             not exists (
               select from schedule.due b
               where b.ordering_key is not null and b.partition = d.partition and b.endpoint = d.endpoint
                 and b.ordering_key = d.ordering_key and b.position < d.position
             ) as "isFirst",
             array(
               select b.delivery from schedule.due b
               where b.ordering_key is not null and b.partition = d.partition and b.endpoint = d.endpoint
                 and b.ordering_key = d.ordering_key and b.position < d.position and b.key_state <> 'released'
             ) as before,
             coalesce((select p.next from schedule.position p
               where p.topic = 'deliveries' and p.partition = d.partition), 0) as "asOf"
           from schedule.due d where d.delivery = any($1::text[])`,
    values: [deliveries],
  });
  return rows;
}
