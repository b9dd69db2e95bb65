import { newId } from '@posthaste/contracts';
import { idsBySecond, numberIds, withoutIndexes } from '@posthaste/test-kit';
import type pg from 'pg';
import type { OwedKeyRef } from '../ordering/sql/let-first-go.js';

/**
 * What is owed by 10,000 endpoints of 1,000 accounts of 100 tenants, written by the server itself. Of a hundred
 * deliveries one is due now, five are parked, in 500 lanes, and five are in ordering keys, ten in each: the first has
 * failed and the others are behind it. One such first in twenty was handed over and is not answered, one in 200 not for
 * an hour, and one in twenty blocks its key. All others are retries, due from an hour on and for three days.
 */
export interface FilledDueIndex {
  endpoints: string[];
  /** Of these all that is parked. */
  lanes: string[];
}

const DAY_MS = 86_400_000;
/** So old are the messages at the most, and so far away the times. */
const SPAN_MS = 3 * DAY_MS;
const CHUNK_ROWS = 250_000;
/** Of `deliveries`, on one machine. */
const PARTITIONS = 6;

export async function fillDueIndex(
  pool: pg.Pool,
  count: number,
  progress: (line: string) => void,
): Promise<FilledDueIndex> {
  const now = Math.floor(Date.now() / 1_000) * 1_000;
  const since = now - SPAN_MS;
  const ids = (kind: 'tenant' | 'account' | 'endpoint', many: number): string[] =>
    Array.from({ length: many }, () => newId(kind, since));
  const [tenant, account, endpoint] = [ids('tenant', 100), ids('account', 1_000), ids('endpoint', 10_000)];
  await numberIds(pool, { tenant, account, endpoint, second: idsBySecond(since, SPAN_MS) });
  const startedAt = performance.now();
  const note = (what: string): void =>
    progress(`${Math.round((performance.now() - startedAt) / 1_000)} s: ${what}`);
  await withoutIndexes(pool, 'schedule', ['due'], async () => {
    for (let from = 0; from < count; from += CHUNK_ROWS) {
      const until = Math.min(from + CHUNK_ROWS, count);
      await pool.query(OWED, [from, until - 1, count, now]);
      note(`${until} of ${count}`);
    }
    note('rows written');
  });
  await pool.query(
    `insert into schedule.position (topic, partition, next)
     select 'deliveries', n, 0 from generate_series(0, ${PARTITIONS - 1}) as n`,
  );
  await pool.query('vacuum (analyze)');
  note('indexed');
  return { endpoints: endpoint, lanes: endpoint.slice(0, 500) };
}

/** Deliveries from all over the index. */
export async function someOwed(
  pool: pg.Pool,
  where: string,
  many: number,
): Promise<{ delivery: string; message: string; endpoint: string }[]> {
  const { rows } = await pool.query<{ delivery: string; message: string; endpoint: string }>(
    `select delivery, message, endpoint from schedule.due where ${where} order by md5(delivery) limit $1`,
    [many],
  );
  return rows;
}

export async function someKeys(pool: pg.Pool, many: number): Promise<OwedKeyRef[]> {
  const { rows } = await pool.query<OwedKeyRef>(
    `select partition, endpoint, ordering_key as key from schedule.due
     where key_state = 'first' order by md5(delivery) limit $1`,
    [many],
  );
  return rows;
}

const OWED = `
with input as (select $1::int as first, $2::int as last, $3::bigint as count, $4::bigint as now),
kind as (
  select i, now, count, i % 20 = 13 as parked, i % 20 = 7 as is_in_key, i % 100 = 1 as is_due, i / 200 as key,
    i / 20 % 10 as place,
    case i % 20 when 13 then i / 20 % 500 when 7 then i / 200 % 10000 else (abs(hashint4(i)::bigint) % 10000)::int end as lane
  from input cross join generate_series(first, last) as i
), state as (
  select *, case when not is_in_key then null when place > 0 then 'behind' when key % 20 = 0 then 'released'
    when key % 20 = 1 then 'blocking' else 'first' end as key_state
  from kind
)
insert into schedule.due (due_at, attempt, delivery, message, tenant, account, endpoint, trigger, reason, parked,
  partition, ordering_key, position, key_state)
select
  case when is_due then now - abs(hashint4(-i)::bigint) % 60000 when key_state = 'released' and key % 200 = 0 then now - 3600000
    else now + 3600000 + i::bigint * 2654435761 % ${SPAN_MS} end,
  2, 'dlv_' || s.id || substr(md5(i::text), 1, 21), 'msg_' || s.id || substr(md5(i::text), 1, 21), t.id, a.id, e.id,
  'retry', case when parked then 'lane_full' when key_state = 'behind' then 'behind_key' end, parked,
  case when is_in_key then a.n % ${PARTITIONS} end, case when is_in_key then 'order-' || key end,
  case when is_in_key then i end, key_state
from state
join filling.endpoint e on e.n = lane
join filling.account a on a.n = lane / 10
join filling.tenant t on t.n = lane / 100
join filling.second s on s.n = i::bigint * ${SPAN_MS / 1_000} / count`;
