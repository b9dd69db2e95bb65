import { type EventLog, runProjection, type RunningProjection } from '@posthaste/event-log';
import { createPool, type Logger, migrate, type RunningService } from '@posthaste/runtime';
import type { DataSource } from 'typeorm';
import { Changes } from '../changes/changes.js';
import { ActionLoop } from './action-loop.js';
import { Health1791000000000 } from './health-migration.js';
import { HEALTH_GATHER_MS, HEALTH_GROUP, healthProjection, healthTopics } from './health.projection.js';

export interface EndpointHealthParts {
  databaseUrl: string;
  /** Where configuration is changed. */
  database: DataSource;
  log: EventLog;
  logger: Logger;
  fatal: (error: unknown) => void;
}

export interface RunningEndpointHealth extends RunningService {
  projection: RunningProjection;
}

/**
 * Endpoint health: a projection of the topic `deliveries`, and what follows from it: endpoints that fail for a week or
 * say they are gone are disabled, and operators are told. It is beside the API: nothing of a request waits for it, and
 * an API whose health is behind is ready all the same.
 */
export async function startEndpointHealth(parts: EndpointHealthParts): Promise<RunningEndpointHealth> {
  const { databaseUrl, database, log, logger } = parts;
  await migrate(databaseUrl, 'health', [Health1791000000000]);
  const pool = createPool({
    url: databaseUrl,
    name: 'management-api health',
    max: 3,
    logger,
    settings: {
      // Rows and position are lost together and read again.
      synchronous_commit: 'off',
      // Telling operators waits for the log (10 s) before it commits.
      idle_in_transaction_session_timeout: '30s',
    },
  });
  const actions = new ActionLoop({ pool, changes: new Changes(database), producer: log.producer, logger });
  const store = healthProjection(pool, {
    onActions: () => actions.wake(),
    onUnreadable: (record, reason) => logger.warn({ ...record, reason }, 'endpoint_health.record_unreadable'),
  });
  const projection = await runProjection({
    log,
    group: HEALTH_GROUP,
    topics: healthTopics,
    store,
    gatherMs: HEALTH_GATHER_MS,
    onRetry: (error) => logger.warn({ err: error }, 'endpoint_health.projection_retried'),
    onFatal: parts.fatal,
  });
  actions.start();
  return {
    projection,
    stop: async () => {
      await projection.stop();
      await actions.stop();
      await pool.end();
    },
  };
}
