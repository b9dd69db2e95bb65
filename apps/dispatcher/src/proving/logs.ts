import { type EventLog, MemoryBroker, MemoryEventLog, openEventLog } from '@posthaste/event-log';
import { startTemporaryPostgres } from '@posthaste/local-stack';
import { kafkaForTests } from '@posthaste/test-kit';

/** A log of a test's own; every `open` is one more process's connection to it. */
export interface LogUnderTest {
  open(): Promise<EventLog>;
  /**
   * A partition goes to its next owner when the one before has let go. Kafka moves it at once and takes no commit of
   * the one before, so what was in flight then is sent again.
   */
  waitsForHandOver: boolean;
  stop(): Promise<void>;
}

export async function memoryLog(broker = new MemoryBroker()): Promise<LogUnderTest> {
  return {
    open: async () => new MemoryEventLog({ broker, ackTimeoutMs: 100 }),
    waitsForHandOver: true,
    stop: async () => undefined,
  };
}

export async function postgresLog(): Promise<LogUnderTest> {
  const postgres = await startTemporaryPostgres('dispatcher');
  return {
    open: () => openEventLog({ kind: 'postgres', url: postgres.url }),
    waitsForHandOver: true,
    stop: () => postgres.remove(),
  };
}

/** Of its own: the dispatcher's topics and group would be shared with whoever else uses the cluster. */
export const startKafka = kafkaForTests()?.startOwn;

export async function kafkaLog(): Promise<LogUnderTest> {
  if (!startKafka) throw new Error('no Kafka here');
  const kafka = await startKafka({});
  return {
    open: () => openEventLog({ kind: 'kafka', brokers: kafka.bootstrap, clientId: 'dispatcher' }),
    waitsForHandOver: false,
    stop: () => kafka.stop(),
  };
}
