import { openEventLog } from './open-event-log.js';
import type { EventLog, TopicLayout } from './port.js';

/** What every service's configuration says of the log; the names are those of its environment. */
export interface LogConfig {
  POSTHASTE_LOG: 'postgres' | 'kafka';
  DATABASE_URL: string;
  /** host:port[,host:port] */
  KAFKA_BROKERS?: string | undefined;
  POSTHASTE_SCALE: 'single' | 'production';
}

export interface LogUser {
  /** The service, as the brokers' operators see it. */
  name: string;
  /** What it reads and writes: made where missing. */
  topics: TopicLayout[];
  logger: { warn(details: Record<string, unknown>, event: string): void };
}

/** The log a service was told to use, with its topics in place. Its warnings go to the service's own log. */
export async function openConfiguredLog(config: LogConfig, user: LogUser): Promise<EventLog> {
  const { name, topics, logger } = user;
  const hooks = {
    onWarning: (warning: string, details: Record<string, unknown>) =>
      logger.warn({ ...details, warning }, 'log.warning'),
  };
  const log = await (config.POSTHASTE_LOG === 'kafka'
    ? openEventLog({ kind: 'kafka', brokers: brokersOf(config), clientId: name, hooks })
    : openEventLog({ kind: 'postgres', url: config.DATABASE_URL, hooks }));
  await log.admin.ensureTopics(topics, config.POSTHASTE_SCALE);
  return log;
}

function brokersOf({ KAFKA_BROKERS = '' }: LogConfig): string[] {
  const brokers = KAFKA_BROKERS.split(',').filter((broker) => broker !== '');
  if (brokers.length === 0) throw new Error('POSTHASTE_LOG is kafka, and KAFKA_BROKERS names no server');
  return brokers;
}
