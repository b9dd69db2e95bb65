import type pg from 'pg';

/** An endpoint that is to be disabled, and the attempt that showed it. */
export interface ToDisable {
  cause: string;
  attempt: string;
}

/** The oldest first. */
export async function listToDisable(pool: pg.Pool, limit: number): Promise<ToDisable[]> {
  const { rows } = await pool.query<ToDisable>(
    `select cause, detail ->> 'attempt' as attempt from health.action
      where kind = 'disable' and done_at is null order by at, cause limit $1`,
    [limit],
  );
  return rows;
}

export const CLAIMED_COLUMNS = 'cause, tenant, account, endpoint, at, detail';

/** For the transaction that does it: null when somebody else has done it or is doing it. */
export const CLAIM_ONE = `select ${CLAIMED_COLUMNS} from health.action
  where cause = $1 and done_at is null for update skip locked`;

export const MARK_DONE = 'update health.action set done_at = now() where cause = any($1::text[])';

/** The log is kept for 30 days; what was done because of it is remembered for longer, lest it be done again. */
const KEPT_DAYS = 32;

/** Forgets what was done long ago, and the health of endpoints that are gone. */
export async function forgetOldHealth(pool: pg.Pool): Promise<void> {
  await pool.query(`delete from health.action where done_at < now() - interval '${KEPT_DAYS} days'`);
  await pool.query(`
    delete from health.endpoint h
     where not exists (select from config.endpoint e where e.id = h.endpoint and e.deleted_at is null)`);
}
