import type { Admin, Kafka, KafkaConfig, Producer } from 'kafkajs';
import { type ConsumerOptions, EventLog, type EventLogHooks, type LogConsumer } from '../port.js';
import { atMost } from './at-most.js';
import { KafkaAdmin } from './kafka-admin.js';
import { CALL_RETRIES, createKafkaClient, defaultTuning, type KafkaTuning } from './kafka-client.js';
import { KafkaConsumer } from './kafka-consumer.js';
import { KafkaProducer } from './kafka-producer.js';
import { KafkaReader } from './kafka-reader.js';
import { type Connectable, RenewableClient } from './renewable-client.js';

/**
 * The log on Kafka, by kafkajs. It promises what port.ts says, at the price of guarding against kafkajs at many places:
 * each file here opens with the faults it works around. It does not create topics unless asked (ensureTopics), and it
 * does not encrypt or authenticate unless `security` says how.
 */
export interface KafkaEventLogOptions {
  /** host:port of some brokers. */
  brokers: string[];
  clientId: string;
  hooks?: EventLogHooks;
  tuning?: Partial<KafkaTuning>;
  /** Of topics created here; at most the brokers there are, 3 when not given. */
  replicationFactor?: number;
  security?: Pick<KafkaConfig, 'ssl' | 'sasl'>;
}

const CLOSE_TIMEOUT_MS = 10_000;

export class KafkaEventLog extends EventLog {
  readonly producer: KafkaProducer;
  readonly reader: KafkaReader;
  readonly admin: KafkaAdmin;
  private readonly adminClient: RenewableClient<Admin>;
  private readonly sender: RenewableClient<Producer>;

  private constructor(
    private readonly options: KafkaEventLogOptions,
    private readonly tuning: KafkaTuning,
    private readonly hooks: EventLogHooks,
  ) {
    super();
    const renewable = <C extends Connectable>(create: (kafka: Kafka) => C): RenewableClient<C> =>
      new RenewableClient(
        () => create(this.newClient(CALL_RETRIES)),
        tuning.callTimeoutMs,
        (message) => hooks.onWarning?.(message, {}),
      );
    const adminClient = renewable((kafka) => kafka.admin());
    const sender = renewable(createKafkaProducer);
    this.adminClient = adminClient;
    this.sender = sender;
    this.producer = new KafkaProducer({
      sender: { sendBatch: (batch) => sender.use((client) => client.sendBatch(batch)) },
      partitionCount: (topic) => adminClient.ask((client) => partitionCount(client, topic)),
      tuning,
      hooks,
    });
    const { clientId } = options;
    this.reader = new KafkaReader({
      newClient: () => this.newClient(),
      admin: adminClient,
      clientId,
      tuning,
      hooks,
    });
    this.admin = new KafkaAdmin(adminClient, options.replicationFactor);
  }

  /** Rejects when no broker can be reached. */
  static async open(options: KafkaEventLogOptions): Promise<KafkaEventLog> {
    const log = new KafkaEventLog(options, { ...defaultTuning, ...options.tuning }, options.hooks ?? {});
    await Promise.all([log.adminClient.connect(), log.sender.connect()]);
    return log;
  }

  consumer(options: ConsumerOptions): LogConsumer {
    const { adminClient: admin, tuning, hooks } = this;
    return new KafkaConsumer({ kafka: this.newClient(), admin, options, tuning, hooks });
  }

  async close(): Promise<void> {
    await this.producer.close(CLOSE_TIMEOUT_MS);
    await this.reader.close();
    // A disconnect waits for answers, which may never come.
    const done = Promise.all([this.sender.close(), this.adminClient.close()]);
    await atMost(CLOSE_TIMEOUT_MS, done);
  }

  private newClient(retries?: number): Kafka {
    const { brokers, clientId, security } = this.options;
    return createKafkaClient({ brokers, clientId, security, hooks: this.hooks }, retries);
  }
}

export function createKafkaProducer(kafka: Kafka): Producer {
  return kafka.producer({
    // Never true: see kafka-producer.ts.
    idempotent: false,
    allowAutoTopicCreation: false,
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition as number,
    // Few: our own loop sends again what somebody still waits for.
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: CALL_RETRIES },
  });
}

async function partitionCount(admin: Admin, topic: string): Promise<number> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const count = topics[0]?.partitions.length ?? 0;
  if (count === 0) throw new Error(`topic ${topic} has no partitions`);
  return count;
}
