import type pg from 'pg';
import type { TableComparison } from './compare-histories.js';

/** What was asked for, and how it is. */
export interface RebuildRun {
  id: string;
  started_at: number;
  status: 'running' | 'completed' | 'failed' | 'cancelled';
  finished_at: number | null;
  reason: string | null;
  tables: TableComparison[] | null;
}

const COLUMNS = 'id, started_at, status, finished_at, reason, tables';

/** The one at work, or the latest; undefined when there was never one. */
export async function latestRun(pool: pg.Pool): Promise<RebuildRun | undefined> {
  const { rows } = await pool.query<RebuildRun>(
    `select ${COLUMNS} from rebuild.run order by status = 'running' desc, started_at desc, id desc limit 1`,
  );
  return rows[0];
}

export async function runAtWork(pool: pg.Pool): Promise<RebuildRun | undefined> {
  const { rows } = await pool.query<RebuildRun>(
    `select ${COLUMNS} from rebuild.run where status = 'running'`,
  );
  return rows[0];
}

/** Asked for while another one is at work, it is that one. */
export async function insertRun(pool: pg.Pool, id: string, startedAt: number): Promise<void> {
  await pool.query(
    `insert into rebuild.run (id, started_at, status) values ($1, $2, 'running') on conflict do nothing`,
    [id, startedAt],
  );
}

/** Changes nothing when it is over already. */
export async function endRun(
  pool: pg.Pool,
  id: string,
  end: { status: 'failed' | 'cancelled'; reason?: string; tables?: TableComparison[] },
): Promise<void> {
  await pool.query(
    `update rebuild.run set status = $2, finished_at = $3, reason = $4, tables = $5
     where id = $1 and status = 'running'`,
    [id, end.status, Date.now(), end.reason ?? null, end.tables ? JSON.stringify(end.tables) : null],
  );
}
