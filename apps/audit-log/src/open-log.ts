import { topics } from '@posthaste/contracts';
import { type EventLog, type EventLogHooks, openEventLog } from '@posthaste/event-log';
import { kafkaBrokers, type Logger } from '@posthaste/runtime';
import type { AuditLogConfig } from './config.js';

/** The log this service was told to use, with the topics it reads and writes in place. */
export async function openLog(config: AuditLogConfig, logger: Logger): Promise<EventLog> {
  const hooks: EventLogHooks = {
    onWarning: (message, details) => logger.warn({ ...details, message }, 'log.warning'),
  };
  const log = await (config.POSTHASTE_LOG === 'kafka'
    ? openEventLog({ kind: 'kafka', brokers: kafkaBrokers(config), clientId: 'audit-log', hooks })
    : openEventLog({ kind: 'postgres', url: config.DATABASE_URL, hooks }));
  await log.admin.ensureTopics([topics.messages, topics.deliveries], config.POSTHASTE_SCALE);
  return log;
}
