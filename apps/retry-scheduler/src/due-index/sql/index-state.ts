import type pg from 'pg';

/**
 * For operators: how late the earliest attempt is that waits for a time (0: none is), about how many attempts there
 * are, and about how many of them are parked. Counting would read them all.
 */
export async function indexState(
  pool: pg.Pool,
): Promise<{ overdueMs: number; rows: number; parkedRows: number }> {
  const { rows } = await pool.query<{ overdueMs: number | null; rows: number | null; parkedRows: number }>(
    `select greatest(0, floor(extract(epoch from statement_timestamp()) * 1000)::bigint
              - (select min(due_at) from schedule.due where not parked and not held)) as "overdueMs",
            (select n_live_tup from pg_stat_all_tables where schemaname = 'schedule' and relname = 'due') as rows,
            (select greatest(0, reltuples) from pg_class
              where oid = 'schedule.parked_by_lane'::regclass) as "parkedRows"`,
  );
  const [state] = rows;
  return { overdueMs: state?.overdueMs ?? 0, rows: state?.rows ?? 0, parkedRows: state?.parkedRows ?? 0 };
}
