import { topics } from '@posthaste/contracts';
import { type EventLog, type EventLogHooks, openEventLog } from '@posthaste/event-log';
import { kafkaBrokers, type Logger } from '@posthaste/runtime';
import type { DispatcherConfig } from './config.js';

/** The log this service was told to use, with the topics it reads and writes in place. */
export async function openLog(config: DispatcherConfig, logger: Logger): Promise<EventLog> {
  const hooks: EventLogHooks = { onWarning: (message, details) => logger.warn(details, `log.${message}`) };
  const log = await openEventLog(
    config.POSTHASTE_LOG === 'kafka'
      ? { kind: 'kafka', brokers: kafkaBrokers(config), clientId: 'dispatcher', hooks }
      : { kind: 'postgres', url: config.DATABASE_URL, hooks },
  );
  const used = [topics.messages, topics.due, topics.deliveries, topics.config];
  await log.admin.ensureTopics(used, config.POSTHASTE_SCALE);
  return log;
}
