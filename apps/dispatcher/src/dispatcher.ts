import { type DeliveryEvent, topics } from '@posthaste/contracts';
import { GuardedClient, parseEgressPolicy, parseEgressProxy } from '@posthaste/egress';
import type { EventLog } from '@posthaste/event-log';
import type { Health, Logger, RunningService, Telemetry } from '@posthaste/runtime';
import { parseKeks, Vault } from '@posthaste/vault';
import type { DispatcherConfig } from './config.js';
import { ConfigCache } from './config-cache/config-cache.js';
import { Intake } from './intake/intake.js';
import { DispatcherMetrics } from './metrics.js';
import { owedKeys } from './ordering/owed-keys.js';
import { Pipeline } from './pipeline.js';
import { TokenCache } from './send/token-cache.js';
import { Settlement } from './settle/settlement.js';
import { serveDispatch } from './uncounted/dispatch.grpc.js';
import { ShadowSends } from './uncounted/shadow-sends.js';
import { TestSends } from './uncounted/test-sends.js';

/**
 * dispatcher: takes accepted messages and due deliveries from the log, sends them, and writes down what happened. It
 * owns nothing durable. This is where its parts meet.
 *
 * Ready once all configuration is known and the group is joined, and while the log answers. Stopping: takes nothing more, lets what was started
 * end for up to 20 s, commits, leaves the group. What was not started stays uncommitted, and so does what is still in
 * flight then: the next owner sends it, with the same id and attempt number.
 */
export interface DispatcherParts {
  config: Pick<
    DispatcherConfig,
    | 'POSTHASTE_LOG'
    | 'POSTHASTE_KEKS'
    | 'POSTHASTE_EGRESS_ALLOW'
    | 'POSTHASTE_EGRESS_DENY'
    | 'POSTHASTE_EGRESS_PROXY'
    | 'DISPATCHER_LANE_IN_FLIGHT'
    | 'DISPATCHER_ORIGIN_IN_FLIGHT'
    | 'DISPATCHER_IN_FLIGHT'
    | 'DISPATCHER_DRAIN_SECONDS'
    | 'DISPATCHER_LOG_ATTEMPTS'
    | 'SCHEDULE_GRPC'
    | 'GRPC_HOST'
    | 'GRPC_PORT'
  >;
  log: EventLog;
  logger: Logger;
  health: Health;
  telemetry: Pick<Telemetry, 'meter' | 'tracing'>;
  fatal(error: unknown): void;
}

export const DISPATCHER_GROUP = 'dispatcher';
const HAND_OVER_MS = 1_000;

export interface RunningDispatcher extends RunningService {
  grpcPort: number;
}

export async function startDispatcher(parts: DispatcherParts): Promise<RunningDispatcher> {
  const { config, log, logger, health, telemetry } = parts;
  const metrics = new DispatcherMetrics(telemetry.meter);
  let readiness: string | null = 'reading the configuration';
  health.addCheck('dispatcher', () => readiness);
  health.addProbe('log', () => log.admin.endOffsets(topics.messages));

  const configCache = new ConfigCache({
    reader: log.reader,
    vault: new Vault(parseKeks(config.POSTHASTE_KEKS)),
    onUnreadable: (error, offset) => {
      metrics.putAside();
      logger.error({ err: error, topic: 'config', offset }, 'config.record_unreadable');
    },
  });
  const settlement = new Settlement(log.producer, (error) => {
    metrics.appendRetried();
    logger.warn({ err: error }, 'delivery.append_retried');
  });
  const originInFlight = config.DISPATCHER_ORIGIN_IN_FLIGHT;
  const {
    POSTHASTE_EGRESS_ALLOW: allow,
    POSTHASTE_EGRESS_DENY: deny,
    POSTHASTE_EGRESS_PROXY: proxy,
  } = config;
  const client = new GuardedClient({
    policy: parseEgressPolicy(allow, deny),
    ...(proxy === undefined ? {} : { proxy: parseEgressProxy(proxy) }),
    maxConnectionsPerOrigin: originInFlight,
  });
  const owed = owedKeys(config.SCHEDULE_GRPC, log);
  const onSecretsUnreadable = (endpoint: string, error: unknown): void =>
    logger.error({ err: error, endpoint }, 'endpoint.secrets_unreadable');
  const tokens = new TokenCache({
    client,
    onAnswered: (outcome) => metrics.tokenAnswered(outcome),
    onScopeNarrowed: ({ oauth }, granted) =>
      logger.warn({ tokenUrl: oauth.tokenUrl, asked: oauth.scope, granted }, 'token.scope_narrowed'),
  });
  const shadows = new ShadowSends({
    client,
    tokens,
    onAttempted: (event, trace) => {
      metrics.settled(event);
      void settlement.append(event, trace);
    },
    onLeftOut: () => metrics.shadowLeftOut(),
  });
  const pipeline = new Pipeline({
    configCache,
    client,
    tokens,
    settlement,
    shadows,
    laneInFlight: config.DISPATCHER_LANE_IN_FLIGHT,
    originInFlight,
    inFlight: config.DISPATCHER_IN_FLIGHT,
    tracing: telemetry.tracing,
    owedKeys: owed.ofPartition,
    onOrderUnknown: (partition, error) =>
      logger.warn({ err: error, partition }, 'ordering.owed_keys_unknown'),
    onSettled: (event) => {
      metrics.settled(event);
      logEvent(logger, event, config.DISPATCHER_LOG_ATTEMPTS === 'on');
    },
    onRepeat: () => metrics.repeated(),
    onSecretsUnreadable,
  });
  const intake = new Intake({
    log,
    group: DISPATCHER_GROUP,
    // Kafka moves partitions at once and then takes no commit of theirs: waiting would only hold up everybody.
    handOverMs: config.POSTHASTE_LOG === 'kafka' ? 0 : HAND_OVER_MS,
    onJobs: (jobs) => pipeline.admit(jobs),
    onLost: (partitions) => {
      pipeline.lose(partitions);
      settlement.health.forget();
    },
    onUnreadable: (record, error) => {
      metrics.putAside();
      logger.error({ ...record, err: error }, 'intake.record_unreadable');
    },
    onCommitFailed: (error) => logger.warn({ err: error }, 'intake.commit_failed'),
    onFatal: (error) => parts.fatal(error),
  });
  metrics.observe(pipeline.lanes, intake, configCache);

  await configCache.start();
  const grpc = await serveDispatch(
    `${config.GRPC_HOST}:${config.GRPC_PORT}`,
    new TestSends({ configCache, client, tokens, onSecretsUnreadable }),
    logger,
  );
  readiness = 'joining the group';
  await intake.start();
  readiness = null;
  return {
    grpcPort: grpc.port,
    stop: async () => {
      readiness = 'stopping';
      intake.pause();
      const drained = await pipeline.drain(config.DISPATCHER_DRAIN_SECONDS * 1_000);
      if (!drained) logger.warn({ inFlight: pipeline.lanes.inFlight }, 'dispatcher.left_unfinished');
      grpc.close();
      settlement.close();
      await intake.stop();
      client.close();
      await owed.close();
      await configCache.close();
    },
  };
}

/** One wide line per attempt; the history holds the bytes. */
function logEvent(logger: Logger, event: DeliveryEvent, logsAttempts: boolean): void {
  const { delivery, message, tenant, account, endpoint, attempt, trigger } = event;
  const key = { delivery, message, tenant, account, endpoint, attempt, trigger };
  switch (event.type) {
    case 'DeliveryAttempted':
      if (!logsAttempts) return;
      logger.info(
        {
          ...key,
          outcome: event.outcome,
          error: event.error?.class,
          status: event.response?.status,
          decision: event.decision,
          durationMs: event.timings.totalMs,
          sinceAcceptedMs: event.startedAt - event.acceptedAt,
        },
        'delivery.attempted',
      );
      return;
    case 'DeliveryDeferred':
      logger.info({ ...key, reason: event.reason, until: event.until }, 'delivery.deferred');
      return;
    case 'DeliveryCancelled':
      logger.info({ ...key, reason: event.reason }, 'delivery.cancelled');
      return;
    case 'DeliveryRequested':
      // Others write those.
      return;
    case 'ShadowAttempted':
      // Shown in the history beside the real one, and nowhere else.
      return;
  }
}
