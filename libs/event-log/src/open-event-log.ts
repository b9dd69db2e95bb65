import type { EventLog, EventLogHooks } from './port.js';
import type { KafkaEventLogOptions } from './kafka/kafka-event-log.js';
import type { PostgresEventLogOptions } from './postgres/postgres-event-log.js';

/**
 * Opens the log a configuration names. Each kind is loaded only when asked for: a process on PostgreSQL never pays
 * for kafkajs.
 */
export type OpenEventLogOptions = { hooks?: EventLogHooks } & (
  ({ kind: 'postgres' } & PostgresEventLogOptions) | ({ kind: 'kafka' } & KafkaEventLogOptions)
);

export async function openEventLog(options: OpenEventLogOptions): Promise<EventLog> {
  switch (options.kind) {
    case 'postgres': {
      const { PostgresEventLog } = await import('./postgres/postgres-event-log.js');
      return PostgresEventLog.open(options);
    }
    case 'kafka': {
      const { KafkaEventLog } = await import('./kafka/kafka-event-log.js');
      return KafkaEventLog.open(options);
    }
  }
}
