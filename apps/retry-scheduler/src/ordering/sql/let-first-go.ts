import type pg from 'pg';
import { NOW_MS } from '../../release/sql/claim-due.js';

/** An ordering key, as the index tells keys apart. */
export interface OwedKeyRef {
  partition: number;
  endpoint: string;
  key: string;
}

/** What was let go: those that wait for a time are due now. */
export interface LetGo {
  endpoint: string;
  parked: boolean;
  dueAt: number;
}

/** So many of a key are on their way at once, while none of them has failed. */
const RUN = 32;

/**
 * Lets the first delivery of each of these keys go, and with it those that follow, up to the first that has failed:
 * that one is retried alone. A dispatcher keeps them in order; what it has not begun comes back when one fails.
 */
export async function letFirstGo(client: pg.ClientBase, keys: OwedKeyRef[]): Promise<LetGo[]> {
  const { rows } = await client.query<LetGo>({
    name: 'let-first-go',
    text: `with head as (
             select d.delivery, d.key_state, d.reason,
               row_number() over in_key as place,
               coalesce(bool_or(d.reason is null or d.key_state = 'blocking') over before, false) as waits
             from unnest($1::int[], $2::text[], $3::text[]) as k (partition, endpoint, ordering_key)
             cross join lateral (
               select * from schedule.due o
               where o.ordering_key is not null and o.partition = k.partition and o.endpoint = k.endpoint
                 and o.ordering_key = k.ordering_key
               order by o.position limit ${RUN}
             ) d
             window in_key as (partition by d.endpoint, d.ordering_key order by d.position),
               before as (in_key rows between unbounded preceding and 1 preceding)
           ), changed as materialized (
             select delivery, place, reason, case when waits then 'behind' else 'first' end as becomes
             from head
             where key_state in ('behind', 'first') and key_state <> case when waits then 'behind' else 'first' end
           )
           update schedule.due d set
             key_state = changed.becomes,
             -- What only waited for its turn is due, in order; a retry, and what waits for its lane, keep their time.
             due_at = case when changed.becomes = 'first' and d.reason = 'behind_key'
               then ${NOW_MS} + changed.place else d.due_at end
           -- It may have been handed over since it was looked at.
           from changed where d.delivery = changed.delivery and d.key_state in ('behind', 'first')
           returning d.endpoint, d.parked, d.due_at as "dueAt", d.key_state = 'first' as "isFirst"`,
    values: [keys.map((k) => k.partition), keys.map((k) => k.endpoint), keys.map((k) => k.key)],
  });
  return rows.filter((row) => (row as LetGo & { isFirst: boolean }).isFirst);
}
