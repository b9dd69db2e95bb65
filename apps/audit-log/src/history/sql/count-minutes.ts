import type pg from 'pg';
import { bucketSql, NO_BUCKET } from '../latency-buckets.js';

/**
 * Continues a statement whose part `written` answers the attempts it wrote, and counts them in the minutes they began in;
 * beside them the deferrals of $25 to $27.
 *
 * An attempt that was reported again as a success leaves the minute and bucket it was counted in. What it was, the table
 * still shows: a statement sees it as it was before. `offset 0` has each of those few looked up by its key. The statement
 * answers these minutes.
 *
 * One row for each endpoint, minute and bucket, however many attempts; written in the order of the key, in which replicas
 * cannot wait for each other in a circle.
 */
export const COUNT_MINUTES = `fact as (
  select tenant, endpoint, started_at, duration_ms, outcome, 1 as times from written
  union all
  select written.tenant, written.endpoint, was.started_at, was.duration_ms, was.outcome, -1
  from written cross join lateral (
    select * from history.attempt a where a.delivery = written.delivery and a.number = written.number offset 0
  ) as was
  where not written.is_new
), counted as (
  select endpoint, (started_at / 60000)::int as minute, ${bucketSql('duration_ms')} as bucket, min(tenant) as tenant,
    coalesce(sum(times) filter (where outcome = 'succeeded'), 0) as delivered,
    coalesce(sum(times) filter (where outcome = 'failed'), 0) as failed, 0 as deferred
  from fact group by 1, 2, 3
  union all
  select endpoint, (at / 60000)::int, ${NO_BUCKET}, min(tenant), 0, 0, count(*)
  from unnest($25::text[], $26::text[], $27::bigint[]) as d (tenant, endpoint, at) group by 1, 2
), kept as (
  insert into history.endpoint_minute as m (endpoint, minute, bucket, tenant, delivered, failed, deferred)
  select * from counted order by endpoint, minute, bucket
  on conflict (endpoint, minute, bucket) do update set
    (delivered, failed, deferred)
    = (m.delivered + excluded.delivered, m.failed + excluded.failed, m.deferred + excluded.deferred)
)
select endpoint, (started_at / 60000)::int as minute from fact where times < 0`;

/** A minute that an attempt has left. */
export interface LeftMinute {
  endpoint: string;
  minute: number;
}

/** Rows that count nothing any more would tell in which batches the log was read, and a rebuilt history not have them. */
export async function deleteEmptyMinutes(client: pg.PoolClient, left: LeftMinute[]): Promise<void> {
  await client.query(
    `delete from history.endpoint_minute m using unnest($1::text[], $2::int[]) as l (endpoint, minute)
     where m.endpoint = l.endpoint and m.minute = l.minute and m.delivered = 0 and m.failed = 0 and m.deferred = 0`,
    [left.map(({ endpoint }) => endpoint), left.map(({ minute }) => minute)],
  );
}
