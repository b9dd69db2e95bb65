import type pg from 'pg';

/** For operators: how late the earliest attempt is (0: none is), and about how many there are. Counting would read them all. */
export async function indexState(pool: pg.Pool): Promise<{ overdueMs: number; rows: number }> {
  const { rows } = await pool.query<{ overdueMs: number | null; rows: number | null }>(
    `select greatest(0, floor(extract(epoch from statement_timestamp()) * 1000)::bigint
              - (select min(due_at) from schedule.due)) as "overdueMs",
            (select n_live_tup from pg_stat_all_tables where schemaname = 'schedule' and relname = 'due') as rows`,
  );
  return { overdueMs: rows[0]?.overdueMs ?? 0, rows: rows[0]?.rows ?? 0 };
}
