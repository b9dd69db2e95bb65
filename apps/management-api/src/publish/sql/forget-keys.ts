import type pg from 'pg';

const KEPT_HOURS = 24;
const BATCH = 1_000;

const FORGET = `
  delete from config.idempotency
   where ctid = any (array(
     select ctid from config.idempotency
      where created_at < now() - interval '${KEPT_HOURS} hours'
      order by created_at limit ${BATCH} for update skip locked))`;

/** Removes keys older than a day, in batches small enough to hold nobody up. Answers how many. */
export async function forgetOldKeys(pool: pg.Pool): Promise<number> {
  for (let total = 0; ;) {
    const { rowCount } = await pool.query(FORGET);
    total += rowCount ?? 0;
    if ((rowCount ?? 0) < BATCH) return total;
  }
}
