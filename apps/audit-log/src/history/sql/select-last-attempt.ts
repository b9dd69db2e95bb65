import type { LastAttemptRequest } from '@posthaste/contracts';
import type pg from 'pg';

/** How far back is looked: an index on endpoints would cost every delivery, and this is asked by people. */
const DELIVERIES = 1_000;

/** When the endpoint was last called (ms since 1970); undefined when not lately. */
export async function getLastAttempt(
  pool: pg.Pool,
  { tenant, account, endpoint }: LastAttemptRequest,
): Promise<number | undefined> {
  const { rows } = await pool.query<{ started_at: number | null }>(
    `select max(attempt.started_at) as started_at
     from (select id, endpoint from history.delivery where tenant = $1 and account = $2
           order by accepted_at desc, id desc limit ${DELIVERIES}) as latest
     join history.attempt on attempt.delivery = latest.id
     where latest.endpoint = $3`,
    [tenant, account, endpoint],
  );
  return rows[0]?.started_at ?? undefined;
}
