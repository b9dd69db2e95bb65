import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import type pg from 'pg';
import { Feeds1791000000003 } from '../feeds/feeds-migration.js';
import { AttemptTls1791000000000 } from '../history/attempt-tls-migration.js';
import { History1790000000000 } from '../history/history-migration.js';
import { historyProjection } from '../history/history.projection.js';
import { HistoryShadows1791000000002 } from '../history/shadow-migration.js';
import { Positions1791000000505 } from '../reconcile/positions-migration.js';

/** History on a PostgreSQL of its own, for specs. */
export interface HistoryBed {
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
  await migrate(postgres.url, 'history', [
    History1790000000000,
    AttemptTls1791000000000,
    HistoryShadows1791000000002,
    Feeds1791000000003,
    Positions1791000000505,
  ]);
  const { logger } = createLogger('reconcile-spec', 'silent');
  const pool = createPool({ url: postgres.url, name: 'spec', max: 4, logger });
  const projection = historyProjection(pool, ({ reason }) => {
    throw new Error(reason);
  });
  return {
    pool,
    projection,
    stop: async () => {
      await pool.end();
      await postgres.stop();
      rmSync(dataRoot, { recursive: true, force: true });
    },
  };
}
