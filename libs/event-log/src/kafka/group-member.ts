import type { Consumer, ConsumerConfig, ConsumerRunConfig, Kafka } from 'kafkajs';
import { EventLogError } from '../errors.js';
import { coPartitionAssigner } from './co-partition-assigner.js';

/**
 * A consumer of kafkajs that can be ended for good. Told to disconnect, kafkajs leaves one alive in two cases: a crash
 * under way sets the timer of its restart afterwards; and a join under way does not count as running, so it goes on,
 * succeeds, and holds partitions that nobody reads. So no crash restarts once the end has begun, and the end waits for
 * the join under way, which succeeds or gives up.
 */
export class GroupMember {
  readonly consumer: Consumer;
  private isEnding = false;
  /** Of the join under way, or of the last. */
  private joined = Promise.withResolvers<void>();

  constructor(kafka: Kafka, config: ConsumerConfig) {
    this.consumer = kafka.consumer({
      partitionAssigners: [coPartitionAssigner],
      allowAutoTopicCreation: false,
      ...config,
      retry: {
        initialRetryTime: 100,
        maxRetryTime: 2_000,
        retries: 30,
        ...config.retry,
        restartOnFailure: () => Promise.resolve(!this.isEnding),
      },
    });
    this.joined.resolve();
    const { GROUP_JOIN, CRASH } = this.consumer.events;
    // The join counts as running some promises after this event.
    this.consumer.on(GROUP_JOIN, () => void setImmediate(this.joined.resolve));
    this.consumer.on(CRASH, ({ payload }) => {
      if (payload.restart) this.joins();
      else this.joined.resolve();
    });
  }

  /** Joins, from the beginning where nothing is committed: an offset out of range would skip to the end otherwise. */
  async start(topics: string[], config: ConsumerRunConfig): Promise<void> {
    await this.consumer.connect();
    await this.consumer.subscribe({ topics, fromBeginning: true });
    await this.run(config);
  }

  /** Joins, or joins again after a crash that kafkajs does not restart from. Resolves also when the join has failed. */
  async run(config: ConsumerRunConfig): Promise<void> {
    if (this.isEnding) throw new EventLogError('log_closed', 'stopped while joining');
    this.joins();
    await this.consumer.run({ autoCommit: false, eachBatchAutoResolve: false, ...config });
  }

  /** Leaves the group. May take as long as kafkajs tries to join, a minute or more with the brokers away. */
  async end(): Promise<void> {
    this.isEnding = true;
    await this.joined.promise;
    await this.consumer.disconnect();
  }

  private joins(): void {
    this.joined.resolve();
    this.joined = Promise.withResolvers();
  }
}
