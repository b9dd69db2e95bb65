import { readFileSync } from 'node:fs';
import type pg from 'pg';

/** Of Linux, which counts a process's time in hundredths of a second. */
const TICK_US = 10_000;

/**
 * Processor time the server has spent for a connection so far, in µs: what else runs on the machine does not count. The
 * server must run on this machine.
 */
export async function spentUs(client: pg.PoolClient): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const fields = readFileSync(`/proc/${rows[0]?.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}
