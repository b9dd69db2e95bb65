import type { MeantRange } from '@posthaste/contracts';
import type pg from 'pg';

/** A range as conditions on `history.delivery d`, found by the index on (endpoint, position). */
export interface RangeSql {
  where: string;
  values: unknown[];
}

/**
 * Clocks of replicas differ, and an append may take ten seconds: who was accepted so much earlier stands earlier in the
 * log, too.
 */
const TIMES_STRAY_MS = 60_000;

/**
 * The times of a range are looked up as positions around it, so that the index finds what lies between; then each row
 * is asked for its own time.
 */
export async function rangeSql(pool: pg.Pool, range: MeantRange, after?: string): Promise<RangeSql> {
  const { tenant, endpoint, from, to, since, until } = range;
  const values: unknown[] = [tenant, endpoint];
  const conditions = ['d.tenant = $1', 'd.endpoint = $2', 'd.position is not null'];
  const where = (condition: string, value: string | number | undefined): void => {
    if (value !== undefined) conditions.push(`${condition} $${values.push(value)}`);
  };
  const around = since === undefined && until === undefined ? {} : await positionsAround(pool, range);
  where('d.position >=', from);
  where('d.position >', after);
  where('d.position <', to);
  where('d.position >', around.before);
  where('d.position <', around.behind);
  where('d.accepted_at >=', since);
  where('d.accepted_at <', until);
  return { where: `where ${conditions.join(' and ')}`, values };
}

async function positionsAround(
  pool: pg.Pool,
  { tenant, account, since, until }: MeantRange,
): Promise<{ before?: string | undefined; behind?: string | undefined }> {
  const { rows } = await pool.query<{ before: string | null; behind: string | null }>({
    name: 'positions-around',
    text: `select
             (select position from history.message
              where tenant = $1 and account = $2 and accepted_at < $3
              order by accepted_at desc, id desc limit 1) as before,
             (select position from history.message
              where tenant = $1 and account = $2 and accepted_at >= $4
              order by accepted_at, id limit 1) as behind`,
    values: [
      tenant,
      account,
      since === undefined ? null : since - TIMES_STRAY_MS,
      until === undefined ? null : until + TIMES_STRAY_MS,
    ],
  });
  return { before: rows[0]?.before ?? undefined, behind: rows[0]?.behind ?? undefined };
}
