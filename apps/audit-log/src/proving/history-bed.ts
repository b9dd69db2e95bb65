import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import type pg from 'pg';
import { historyProjection } from '../history/history.projection.js';
import { historyMigrations } from '../migrations.js';
import { replaysMigrations } from '../replays/index.js';

/** History and replays on a PostgreSQL of their own, for specs. */
export interface HistoryBed {
  /** Of the database. */
  url: string;
  pool: pg.Pool;
  /** Throws at what it would put aside. */
  projection: ReturnType<typeof historyProjection>;
  stop(): Promise<void>;
}

export async function startHistoryBed(): Promise<HistoryBed> {
  const dataRoot = mkdtempSync(path.join(os.tmpdir(), 'posthaste-reconcile-'));
  // The server may run as another user than the tests.
  chmodSync(dataRoot, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: path.join(dataRoot, 'data') });
  await migrate(postgres.url, 'history', historyMigrations);
  await migrate(postgres.url, 'replays', replaysMigrations);
  const { logger } = createLogger('reconcile-spec', 'silent');
  const pool = createPool({ url: postgres.url, name: 'spec', max: 4, logger });
  const projection = historyProjection(pool, ({ reason }) => {
    throw new Error(reason);
  });
  return {
    url: postgres.url,
    pool,
    projection,
    stop: async () => {
      await pool.end();
      await postgres.stop();
      rmSync(dataRoot, { recursive: true, force: true });
    },
  };
}
