import type { Meter } from '@opentelemetry/api';
import { topics } from '@posthaste/contracts';
import {
  catchUpCheck,
  endsOf,
  type EventLog,
  runProjection,
  type RunningProjection,
} from '@posthaste/event-log';
import { rebuildRoute } from '@posthaste/rebuild';
import { createPool, type Health, type Logger, migrate, type RunningService } from '@posthaste/runtime';
import type pg from 'pg';
import type { RetrySchedulerConfig } from './config.js';
import {
  DUE_GATHER_MS,
  dueIndexMigrations,
  dueIndexProjection,
  SCHEDULER_GROUP,
  scheduledTopics,
  scheduleSettings,
} from './due-index/index.js';
import { serveSchedule } from './ordering/schedule.grpc.js';
import { schedulerMetrics } from './metrics.js';
import { ParkingLot } from './parking/parking-lot.js';
import { dueRebuildMigrations, REBUILD_SCHEMA, startDueRebuilds } from './rebuild/index.js';
import { GoneEndpoints, HandOverPace, historyPayloads, ReleaseLoop } from './release/index.js';

/**
 * retry-scheduler: a durable timer, and a parking lot for what waits for its lane. It decides nothing; dispatchers
 * wrote when each attempt is owed, and their lanes' answers say how fast a lane is handed what is parked.
 *
 * Ready when its schema is migrated, its consumer has joined and the index holds all the log held at start; after a
 * minute it is ready all the same, with the gauge `posthaste_projection_catching_up` at 1. Releasing has no such limit:
 * an index behind the log holds attempts that were made long ago, so nothing is released before it has caught up.
 * Not ready while log or database are away.
 */
export interface RetrySchedulerParts {
  config: Pick<RetrySchedulerConfig, 'DATABASE_URL' | 'GRPC_HOST' | 'GRPC_PORT' | 'HISTORY_ADDRESS'>;
  log: EventLog;
  logger: Logger;
  health: Health;
  meter: Meter;
  fatal: (error: unknown) => void;
}

export interface RunningRetryScheduler extends RunningService {
  projection: RunningProjection;
}

export async function startRetryScheduler(parts: RetrySchedulerParts): Promise<RunningRetryScheduler> {
  const { config, log, logger, health } = parts;
  await Promise.all([
    migrate(config.DATABASE_URL, 'schedule', dueIndexMigrations),
    migrate(config.DATABASE_URL, REBUILD_SCHEMA, dueRebuildMigrations),
  ]);
  const pool = poolOf(parts, 'retry-scheduler', 4);
  const lot = new ParkingLot({
    onRoom: () => releases.noticeRoom(),
    onBounce: () => metrics.bounced(),
  });
  const pace = new HandOverPace();
  const metrics = schedulerMetrics({ meter: parts.meter, pool, log, lot, pace });
  const stopping = new AbortController();
  const store = dueIndexProjection(pool, {
    onEvent: (event) => {
      lot.notice(event);
      pace.notice(event);
      gone.notice(event);
    },
    onOwed: (earliest) => releases.noticeDue(earliest),
    onParked: (endpoints) => lot.park(endpoints),
    onUnreadable: (record, reason) => {
      metrics.unreadable();
      logger.error({ ...record, reason }, 'schedule.record_unreadable');
    },
  });
  const ends = await endsOf(log, scheduledTopics);
  const caughtUp = store.positions.whenReached(ends, stopping.signal);
  const history = historyPayloads(config.HISTORY_ADDRESS);
  const gone = new GoneEndpoints({
    pool,
    reader: log.reader,
    onHastened: (endpoints) => {
      lot.lift(endpoints);
      releases.noticeDue(0);
    },
    onFailure: (error) => logger.warn({ err: error }, 'schedule.hasten_failed'),
    onUnreadable: (offset, error) => {
      metrics.unreadable();
      logger.error({ err: error, topic: topics.config.name, offset }, 'schedule.record_unreadable');
    },
  });
  const releases = new ReleaseLoop({
    pool,
    versionOf: gone.versionOf,
    producer: log.producer,
    payloads: history.payloads,
    lot,
    pace,
    opened: caughtUp,
    onReleased: (outcome) => {
      metrics.released(outcome);
      const { missing } = outcome;
      if (missing.length > 0) logger.warn({ deliveries: missing }, 'schedule.deliveries_not_in_history');
    },
    onFailure: (error, backoffMs) => logger.warn({ err: error, backoffMs }, 'schedule.release_failed'),
  });
  const projection = await runProjection({
    log,
    group: SCHEDULER_GROUP,
    topics: scheduledTopics,
    store,
    gatherMs: DUE_GATHER_MS,
    onRetry: (error) => logger.warn({ err: error }, 'schedule.projection_retried'),
    onFatal: parts.fatal,
    onApplied: metrics.applied,
  });
  await gone.start();
  releases.start();
  const filling = poolOf(parts, 'due-rebuild', 3);
  const rebuilds = startDueRebuilds({
    log,
    url: config.DATABASE_URL,
    pool,
    filling,
    gone: () => gone.endpoints,
    opened: caughtUp,
    onStep: (step) => step !== 'applied' && logger.info({ step }, 'schedule.rebuild'),
    onRetry: (error) => logger.warn({ err: error }, 'schedule.rebuild_retried'),
  });
  health.addRoute('/rebuild', rebuildRoute(rebuilds));
  const grpc = await serveSchedule(`${config.GRPC_HOST}:${config.GRPC_PORT}`, {
    pool,
    positions: store.positions,
    logger,
  });
  health.addCheck('schedule', catchUpCheck(caughtUp, metrics.catchingUp));
  health.addProbe('log', () => log.admin.endOffsets(topics.deliveries));
  health.addProbe('database', () => pool.query('select 1'));
  return {
    projection,
    stop: async () => {
      stopping.abort();
      grpc.close();
      await rebuilds.stop();
      await gone.stop();
      await releases.stop();
      await projection.stop();
      history.close();
      metrics.stop();
      await Promise.all([pool.end(), filling.end()]);
    },
  };
}

function poolOf({ config, logger }: RetrySchedulerParts, name: string, max: number): pg.Pool {
  return createPool({
    url: config.DATABASE_URL,
    name,
    max,
    logger,
    settings: scheduleSettings,
  });
}
