import type pg from 'pg';

/**
 * Ways through all rows in the order of their ids, which is that of their messages' times, to find those of one tenant:
 * an index for it would cost every delivery. How far a walk has come is a row of history, moved in the transaction that
 * does something about what was found, so whoever dies in between has done nothing.
 */
export interface Walked {
  delivery: string;
  message: string;
}

/** Ids looked through by one statement, and found by it at most. */
const WINDOW_ROWS = 10_000;
const BATCH_ROWS = 1_000;
/** What came late, as the attempt of a delivery that was gone already, is found by going through all of them again. */
const AGAIN_AFTER_MS = 86_400_000;

/** Locks it, so that two replicas take turns. */
export async function walkedSoFar(client: pg.PoolClient, walk: string, nowMs: number): Promise<Walked> {
  const { rows } = await client.query<Walked>(
    `insert into history.swept as s (walk, delivery, message, begun_at) values ($1, '', '', $2)
     on conflict (walk) do update set
       delivery = case when s.begun_at < $2 - ${AGAIN_AFTER_MS} then '' else s.delivery end,
       message = case when s.begun_at < $2 - ${AGAIN_AFTER_MS} then '' else s.message end,
       begun_at = case when s.begun_at < $2 - ${AGAIN_AFTER_MS} then $2 else s.begun_at end
     returning delivery, message`,
    [walk, nowMs],
  );
  return rows[0] ?? { delivery: '', message: '' };
}

export async function walkedTo(client: pg.PoolClient, walk: string, to: Walked): Promise<void> {
  await client.query('update history.swept set delivery = $2, message = $3 where walk = $1', [
    walk,
    to.delivery,
    to.message,
  ]);
}

/** The tenant's ids among the next ones of all tenants. */
export async function windowOf(
  client: pg.PoolClient,
  table: 'delivery' | 'message',
  tenant: string,
  after: string,
  bound: string,
): Promise<{ ids: string[]; reached: string; more: boolean }> {
  const { rows } = await client.query<{ ids: string[] | null; last: string | null; seen: number }>(
    `with seen as materialized (
       select id, tenant from history.${table} where id > $1 and id < $2 order by id limit ${WINDOW_ROWS}
     )
     select (select array_agg(id order by id) from (
               select id from seen where tenant = $3 order by id limit ${BATCH_ROWS}) t) as ids,
       (select max(id) from seen) as last, (select count(*)::int from seen) as seen`,
    [after, bound, tenant],
  );
  const { ids, last = null, seen = 0 } = rows[0] ?? { ids: null };
  const found = ids ?? [];
  const isFull = found.length === BATCH_ROWS;
  return {
    ids: found,
    reached: (isFull ? found.at(-1) : last) ?? after,
    more: isFull || seen === WINDOW_ROWS,
  };
}
