import { kafkaAvailable, type LocalKafka, type LocalKafkaOptions, startKafka } from '@posthaste/local-stack';

/**
 * Where tests find Kafka: the brokers of KAFKA_BROKERS (host:port, comma-separated), else local ones from Java and
 * Maven. Where neither is to be had the suites are skipped in one line, but never in CI: there it is an error.
 */
export interface KafkaForTests {
  /** A cluster for suites that append and read. Starting takes some seconds, minutes on a machine's first run. */
  connect(): Promise<{ brokers: string[]; stop(): Promise<void> }>;
  /** Nodes of the suite's own, to kill; undefined where only foreign brokers are to be had. */
  startOwn: ((options: LocalKafkaOptions) => Promise<LocalKafka>) | undefined;
}

export function kafkaForTests(): KafkaForTests | undefined {
  const given = process.env['KAFKA_BROKERS'];
  const startOwn = kafkaAvailable() ? startKafka : undefined;
  if (given) {
    const brokers = given.split(',').map((broker) => broker.trim());
    return { connect: async () => ({ brokers, stop: async () => undefined }), startOwn };
  }
  if (startOwn) {
    const connect = async (): ReturnType<KafkaForTests['connect']> => {
      const kafka = await startOwn();
      return { brokers: kafka.bootstrap, stop: () => kafka.stop() };
    };
    return { connect, startOwn };
  }
  const reason = 'no Kafka: neither KAFKA_BROKERS nor Java 17 or later with Maven';
  if (process.env['CI']) throw new Error(`${reason}; in CI its suites must run`);
  process.stderr.write(`skipped: ${reason}\n`);
  return undefined;
}
