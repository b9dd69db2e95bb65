import type { MeantRange } from '@posthaste/contracts';
import type pg from 'pg';

/** A range as conditions on `history.delivery d`, in the order of its index on (endpoint, position). */
export interface RangeSql {
  where: string;
  /** The first is the tenant. Rows are asked for theirs outside: it tells the planner nothing but "few". */
  values: unknown[];
}

/**
 * Clocks of replicas differ, and an append may take ten seconds: who was accepted so much earlier stands earlier in the
 * log, too.
 */
const TIMES_STRAY_MS = 60_000;

/** Above all positions. */
const END = '~';

/**
 * The times of a range are looked up as positions around it, so that the index finds what lies between; then each row
 * is asked for its own time.
 *
 * The bounds are compared as rows with the endpoint, and the times each in a form of its own. Otherwise, before the table was analysed,
 * they would let the planner expect a handful, which it would collect and sort.
 */
export async function rangeSql(pool: pg.Pool, range: MeantRange, after?: string): Promise<RangeSql> {
  const { tenant, endpoint, from = '', to = END, since, until } = range;
  const around = since === undefined && until === undefined ? {} : await positionsAround(pool, range);
  const first = [from, justAfter(after), justAfter(around.before)].sort().at(-1);
  const [end] = [to, around.behind ?? END].sort();
  const values: unknown[] = [tenant, endpoint, first, end];
  const conditions = ['(d.endpoint, d.position) >= ($2, $3)', '(d.endpoint, d.position) < ($2, $4)'];
  if (since !== undefined) conditions.push(`d.accepted_at >= $${values.push(since)}`);
  if (until !== undefined) conditions.push(`d.accepted_at + 0 < $${values.push(until)}`);
  return { where: `where ${conditions.join(' and ')} order by d.endpoint, d.position`, values };
}

/** All positions are of one length: what is longer than one stands between it and the next. */
function justAfter(position: string | undefined): string {
  return position === undefined ? '' : `${position}0`;
}

async function positionsAround(
  pool: pg.Pool,
  { account, since, until }: MeantRange,
): Promise<{ before?: string | undefined; behind?: string | undefined }> {
  const { rows } = await pool.query<{ before: string | null; behind: string | null }>({
    name: 'positions-around',
    text: `select
             (select position from history.message
              where (account, accepted_at) >= ($1, 0) and (account, accepted_at) < ($1, $2)
              order by account desc, accepted_at desc, id desc limit 1) as before,
             (select position from history.message
              where (account, accepted_at) >= ($1, $3) and (account, accepted_at) <= ($1, $4)
              order by account, accepted_at, id limit 1) as behind`,
    values: [
      account,
      since === undefined ? 0 : since - TIMES_STRAY_MS,
      until === undefined ? Number.MAX_SAFE_INTEGER : until + TIMES_STRAY_MS,
      Number.MAX_SAFE_INTEGER,
    ],
  });
  return { before: rows[0]?.before ?? undefined, behind: rows[0]?.behind ?? undefined };
}
