import pg from 'pg';
import type { Logger } from './logger.js';

export interface PoolOptions {
  url: string;
  /** Shown in pg_stat_activity. */
  name: string;
  max: number;
  logger: Logger;
  /** Session settings, such as `{ synchronous_commit: 'off' }` for projections. */
  settings?: Record<string, string>;
}

/**
 * A pool whose statements cannot hang a service: connecting 5 s, a statement 10 s, a forgotten transaction 10 s.
 * Integers of 8 bytes come back as numbers; ours count milliseconds, versions and offsets, far below 2^53.
 */
export function createPool({ url, name, max, logger, settings = {} }: PoolOptions): pg.Pool {
  const options = Object.entries({
    statement_timeout: '10s',
    idle_in_transaction_session_timeout: '10s',
    ...settings,
  })
    .map(([key, value]) => `-c ${key}=${value}`)
    .join(' ');
  const pool = new pg.Pool({
    connectionString: url,
    application_name: name,
    max,
    options,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    types: { getTypeParser: parserOf },
  });
  // An idle connection that breaks is replaced at its next use; unheard, its error would end the process.
  // Only what it says: the whole client hangs on this error, with its settings and statements.
  pool.on('error', ({ message }) => logger.warn({ reason: message, pool: name }, 'postgres.connection_lost'));
  // One that breaks while it is lent fails the next statement on it; a pool listens to idle ones only.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

const INT8: number = pg.types.builtins.INT8;

function parserOf(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8 && format !== 'binary') return Number;
  return pg.types.getTypeParser(oid, format ?? 'text') as (value: string) => unknown;
}

/** Runs `work` in one transaction; rolls back and rethrows what it throws. */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => (broken = rollbackError));
    throw error;
  } finally {
    client.release(broken);
  }
}
