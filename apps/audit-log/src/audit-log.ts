import type { DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type MicroserviceOptions, Transport } from '@nestjs/microservices';
import { historyTransport, topics } from '@posthaste/contracts';
import {
  catchUpCheck,
  endsOf,
  type EventLog,
  runProjection,
  type RunningProjection,
} from '@posthaste/event-log';
import { rebuildRoute } from '@posthaste/rebuild';
import { createPool, type Health, type Logger, migrate, type RunningService } from '@posthaste/runtime';
import type { Meter } from '@opentelemetry/api';
import type pg from 'pg';
import { AppModule } from './app.module.js';
import { auditKeys, AuditTree1795000000000, startAuditTree } from './audit-tree/index.js';
import type { AuditLogConfig } from './config.js';
import {
  AsOfNow,
  BusyMachine,
  createReadsPool,
  HISTORY_GATHER_MS,
  HISTORY_GROUP,
  historyProjection,
  historyTopics,
  type Quarantined,
} from './history/index.js';
import { logMetrics } from './log-metrics.js';
import { historyMetrics } from './metrics.js';
import { historyRunsMigration, startHistoryRebuilds } from './rebuild/index.js';
import { historyHorizon, startReplayLoop } from './replays/index.js';
import { followPolicies, Retention, Retention1796000000002 } from './retention/index.js';
import { historyMigrations, replaysMigrations } from './migrations.js';

/**
 * audit-log: history as people look at it, projected from the log and served by gRPC; the replays that send parts of
 * it again; and the audit trees, which prove who did what.
 *
 * Ready when its schema is migrated, its consumer has joined and everything the log held at start is projected. A
 * rebuild may take longer than a deployment waits: after a minute it is ready all the same and answers with what it
 * has, while the gauge `posthaste_projection_catching_up` stays 1 until it has all. Not ready while log or database
 * are away.
 */
export interface AuditLogParts {
  config: Pick<
    AuditLogConfig,
    | 'DATABASE_URL'
    | 'DATABASE_POOL'
    | 'GRPC_HOST'
    | 'GRPC_PORT'
    | 'HISTORY_RETENTION_DAYS'
    | 'HISTORY_PAYLOAD_INDEX'
    | 'HISTORY_YIELDS'
    | 'FEED_RETENTION_HOURS'
    | 'POSTHASTE_AUDIT_KEYS'
  >;
  log: EventLog;
  logger: Logger;
  health: Health;
  meter: Meter;
  fatal: (error: unknown) => void;
}

export interface RunningAuditLog extends RunningService {
  projection: RunningProjection;
}

export async function startAuditLog(parts: AuditLogParts): Promise<RunningAuditLog> {
  const { config, log, logger, health } = parts;
  await Promise.all([
    migrate(config.DATABASE_URL, 'history', historyMigrations),
    migrate(config.DATABASE_URL, 'replays', replaysMigrations),
    migrate(config.DATABASE_URL, 'audit', [AuditTree1795000000000]),
    migrate(config.DATABASE_URL, 'rebuild', [historyRunsMigration]),
    migrate(config.DATABASE_URL, 'retention', [Retention1796000000002]),
  ]);
  const writes = projectionPool(parts, 'history-projection');
  const reads = createReadsPool({ url: config.DATABASE_URL, max: config.DATABASE_POOL, logger });
  const metrics = historyMetrics(parts.meter, log);
  const topicMetrics = logMetrics(parts.meter, log);
  const options = { payloadIndex: config.HISTORY_PAYLOAD_INDEX === 'on' };
  const quarantined = (found: Quarantined): void => {
    metrics.quarantined(found.topic);
    const { topic, partition, record, reason } = found;
    logger.error({ topic, partition, offset: record.offset, reason }, 'history.record_quarantined');
  };
  const store = historyProjection(writes, quarantined, options);
  const ends = await endsOf(log, historyTopics);
  const machine = new BusyMachine();
  const projection = await runProjection({
    log,
    group: HISTORY_GROUP,
    topics: historyTopics,
    store,
    gatherMs: HISTORY_GATHER_MS,
    othersFirst: () => config.HISTORY_YIELDS === 'on' && machine.isBusy(),
    onRetry: (error) => logger.warn({ err: error }, 'history.projection_retried'),
    onFatal: parts.fatal,
    onApplied: metrics.applied,
  });
  const stopping = new AbortController();
  const caughtUp = store.positions.whenReached(ends, stopping.signal);
  health.addCheck('history', catchUpCheck(caughtUp, metrics.catchingUp));
  health.addProbe('log', () => log.admin.endOffsets(topics.deliveries));
  health.addProbe('database', () => reads.query('select 1'));
  const keptMs = config.HISTORY_RETENTION_DAYS * 86_400_000;
  const feedKeptMs = Math.min(config.FEED_RETENTION_HOURS * 3_600_000, keptMs);
  const keys = auditKeys(config.POSTHASTE_AUDIT_KEYS);
  const auditTree = await startAuditTree({
    ...parts,
    databaseUrl: config.DATABASE_URL,
    keys,
    onAside: metrics.quarantined,
  });
  const asOfNow = new AsOfNow(log, store.positions, stopping.signal);
  const grpc = await serveGrpc(config, AppModule.over(reads, asOfNow, feedKeptMs, keys));
  const replaying = createPool({
    url: config.DATABASE_URL,
    name: 'replays',
    max: 1,
    logger,
    // A page waits for the log (10 s at most) before it is committed.
    settings: { idle_in_transaction_session_timeout: '30s' },
  });
  const replays = startReplayLoop({
    pool: replaying,
    producer: log.producer,
    opened: caughtUp,
    horizon: historyHorizon(log, store.positions, stopping.signal),
    onFailure: (error) => logger.warn({ err: error }, 'replays.step_failed'),
  });
  const retention = new Retention({ logger, keptMs, feedKeptMs });
  const policies = await followPolicies(log.reader, reads, (error) =>
    logger.warn({ err: error }, 'history.policy_not_written'),
  );
  const sweeping = retention.start(reads, Promise.all([caughtUp, policies.caughtUp]));
  const filling = projectionPool(parts, 'history-rebuild');
  const rebuilds = startHistoryRebuilds({
    log,
    url: config.DATABASE_URL,
    pool: reads,
    filling,
    history: options,
    sweep: async (pool, nowMs) => {
      await retention.shred(pool, nowMs, 0);
      await retention.sweep(pool, nowMs);
    },
    opened: caughtUp,
    onStep: (step) => step !== 'applied' && logger.info({ step }, 'history.rebuild'),
    onRetry: (error) => logger.warn({ err: error }, 'history.rebuild_retried'),
  });
  health.addRoute('/rebuild', rebuildRoute(rebuilds));
  return {
    projection,
    stop: async () => {
      stopping.abort();
      await grpc.close();
      await Promise.all([sweeping.stop(), rebuilds.stop(), policies.close()]);
      await replays.stop();
      await auditTree.stop();
      await projection.stop();
      await caughtUp;
      metrics.stop();
      topicMetrics.stop();
      await Promise.all([writes.end(), reads.end(), replaying.end(), filling.end()]);
    },
  };
}

function projectionPool({ config, logger }: AuditLogParts, name: string): pg.Pool {
  return createPool({
    url: config.DATABASE_URL,
    name,
    max: 2,
    logger,
    settings: {
      synchronous_commit: 'off',
      // A plan made while the tables were empty would read them whole until they are first analysed.
      enable_seqscan: 'off',
    },
  });
}

async function serveGrpc(
  config: Pick<AuditLogConfig, 'GRPC_HOST' | 'GRPC_PORT'>,
  module: DynamicModule,
): Promise<{ close(): Promise<unknown> }> {
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(module, {
    logger: ['error'],
    transport: Transport.GRPC,
    options: historyTransport(`${config.GRPC_HOST}:${config.GRPC_PORT}`),
  });
  await app.listen();
  return app;
}
