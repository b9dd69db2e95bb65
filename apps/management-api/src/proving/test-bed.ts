import { type EventLog, openEventLog } from '@posthaste/event-log';
import { type EmbeddedPostgres, startTemporaryPostgres } from '@posthaste/local-stack';
import pg from 'pg';
import { type ApiUnderTest, startApi } from './api-under-test.js';
import type { ScriptedHistory } from './scripted-history.js';

/** What a suite stands on: a PostgreSQL of its own, one or more replicas of the service on it, and eyes into both. */
export interface TestBed {
  postgres: EmbeddedPostgres;
  /** For looking, and for what a request cannot do, such as growing old. */
  database: pg.Pool;
  log: EventLog;
  api: ApiUnderTest;
  /** The second replica; the first when only one was asked for. */
  replica: ApiUnderTest;
  stop(): Promise<void>;
}

export interface TestBedOptions {
  replicas?: number;
  env?: Record<string, string>;
  /** Stands in for audit-log, and lives as long as the bed. */
  history?: ScriptedHistory;
}

export async function startTestBed(options: TestBedOptions = {}): Promise<TestBed> {
  const { replicas = 1, history } = options;
  await history?.start();
  const env = { ...(history && { HISTORY_GRPC: history.address }), ...options.env };
  const postgres = await startTemporaryPostgres('management-api');
  // At once, as a deployment starts them: they share one database that is not there yet.
  const apis = await Promise.all(Array.from({ length: replicas }, () => startApi(postgres.url, env)));
  const log = await openEventLog({ kind: 'postgres', url: postgres.url });
  const database = new pg.Pool({ connectionString: postgres.url, max: 2 });
  // The server stops before the pool's last connection has ended, or under it.
  database.on('error', () => undefined);
  const [api, replica = api] = apis as [ApiUnderTest, ApiUnderTest?];
  return {
    postgres,
    database,
    log,
    api,
    replica,
    stop: async () => {
      await Promise.all(apis.map((one) => one.stop()));
      await log.close();
      await database.end();
      await postgres.remove();
      history?.stop();
    },
  };
}
