import { randomUUID } from 'node:crypto';
import type { Topic } from '@posthaste/contracts';
import type { Admin, ConsumerRunConfig, EachBatchPayload, Kafka } from 'kafkajs';
import type { EventLogHooks, LogReader, StoredRecord } from '../port.js';
import { atMost } from './at-most.js';
import { GroupMember } from './group-member.js';
import type { KafkaTuning } from './kafka-client.js';
import { toStoredRecord } from './kafka-record.js';
import type { RenewableClient } from './renewable-client.js';

/**
 * Follows whole topics, each with a throw-away group of one member, because kafkajs reads in groups only. Nothing is
 * committed and the group is deleted on close; one left by a killed process has no offsets and is dropped by Kafka.
 *
 * Caught up means: in each partition read to the end it had at the call. Compaction and aborted transactions leave
 * ends that no record will ever reach. There it is enough that every broker held a fetch for its full time and had
 * nothing: with a record to read it answers at once.
 */
export interface KafkaReaderParts {
  /** One for each follower: see createKafkaClient. */
  newClient: () => Kafka;
  admin: RenewableClient<Admin>;
  clientId: string;
  tuning: KafkaTuning;
  hooks: EventLogHooks;
}

type OnRecord = (record: StoredRecord, partition: number) => void;

interface Following {
  caughtUp: Promise<void>;
  close(): Promise<void>;
}

const RESTART_MS = 1_000;
const STOP_TIMEOUT_MS = 10_000;

export class KafkaReader implements LogReader {
  private readonly open = new Set<Following>();

  constructor(private readonly parts: KafkaReaderParts) {}

  async follow(topic: Pick<Topic, 'name'>, onRecord: OnRecord): Promise<Following> {
    const ends = await this.parts.admin.ask((client) => client.fetchTopicOffsets(topic.name));
    const behind = new Map<number, number>();
    for (const { partition, low, high } of ends) {
      if (Number(high) > Number(low)) behind.set(partition, Number(high));
    }
    const follower = new Follower(this.parts, topic.name, onRecord, behind);
    try {
      await follower.start();
    } catch (error) {
      await follower.close();
      throw error;
    }
    const following = {
      caughtUp: follower.caughtUp,
      close: async () => {
        this.open.delete(following);
        await follower.close();
      },
    };
    this.open.add(following);
    return following;
  }

  async close(): Promise<void> {
    await Promise.all([...this.open].map((following) => following.close()));
  }
}

class Follower {
  readonly caughtUp: Promise<void>;
  private readonly member: GroupMember;
  private readonly group: string;
  private readonly next = new Map<number, number>();
  private readonly reached = Promise.withResolvers<void>();
  /** Of each broker: when its running fetch began, and whether the one before waited its full time for nothing. */
  private readonly fetches = new Map<number, { isFullWait: boolean; isQuiet: boolean }>();
  private readonly reading: ConsumerRunConfig = {
    eachBatch: (payload) => {
      this.take(payload);
      return Promise.resolve();
    },
  };
  private isClosed = false;
  private restart: NodeJS.Timeout | undefined;

  constructor(
    private readonly parts: KafkaReaderParts,
    private readonly topic: string,
    private readonly onRecord: OnRecord,
    /** Partitions not read to their first end yet, and that end. */
    private readonly behind: Map<number, number>,
  ) {
    const { tuning } = parts;
    this.group = `${parts.clientId}-follow-${topic}-${randomUUID()}`;
    this.caughtUp = this.reached.promise;
    this.member = new GroupMember(parts.newClient(), {
      groupId: this.group,
      sessionTimeout: tuning.sessionTimeoutMs,
      heartbeatInterval: tuning.heartbeatMs,
      maxWaitTimeInMs: tuning.maxWaitMs,
      minBytes: 1,
      maxBytes: tuning.fetchBytes,
      // It reads alone and as fast as it can: a whole fetch may come from one partition.
      maxBytesPerPartition: tuning.fetchBytes,
    });
  }

  async start(): Promise<void> {
    const { consumer } = this.member;
    const { events } = consumer;
    consumer.on(events.GROUP_JOIN, () => this.goOn());
    consumer.on(events.FETCH_START, ({ payload }) => this.fetchStarts(payload.nodeId));
    consumer.on(events.FETCH, ({ payload }) => this.fetchEnds(payload.nodeId, payload.duration));
    // Also for batches of which nothing is left but the marks of a transaction.
    consumer.on(events.END_BATCH_PROCESS, ({ payload }) =>
      this.advance(payload.partition, Number(payload.lastOffset)),
    );
    consumer.on(events.CRASH, ({ payload }) => this.crashed(payload.error, payload.restart));
    await this.member.start([this.topic], this.reading);
    this.settle();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    clearTimeout(this.restart);
    const { admin } = this.parts;
    const gone = this.member.end().then(() => admin.ask((client) => client.deleteGroups([this.group])));
    const done = gone.catch((error: unknown) => this.warn('the group of a follower was not deleted', error));
    await atMost(STOP_TIMEOUT_MS, done);
  }

  private take({ batch, ...kafka }: EachBatchPayload): void {
    if (this.isClosed || kafka.isStale()) return;
    for (const message of batch.messages) {
      // Read before a rejoin.
      if (Number(message.offset) < (this.next.get(batch.partition) ?? 0)) continue;
      this.handOn(toStoredRecord(message), batch.partition);
    }
    kafka.resolveOffset(batch.messages.at(-1)?.offset ?? batch.lastOffset());
    this.advance(batch.partition, Number(batch.lastOffset()));
  }

  private handOn(record: StoredRecord, partition: number): void {
    try {
      this.onRecord(record, partition);
    } catch (error) {
      // kafkajs would read the batch again for ever.
      this.warn('a follower failed on a record and goes on', error);
    }
  }

  /** Nothing is committed, so each join would begin at the oldest record again. */
  private goOn(): void {
    this.fetches.clear();
    for (const [partition, offset] of this.next) {
      this.member.consumer.seek({ topic: this.topic, partition, offset: String(offset) });
    }
  }

  private advance(partition: number, lastOffset: number): void {
    if (!(lastOffset + 1 > (this.next.get(partition) ?? 0))) return;
    this.next.set(partition, lastOffset + 1);
    for (const fetch of this.fetches.values()) fetch.isFullWait = fetch.isQuiet = false;
    if (lastOffset + 1 >= (this.behind.get(partition) ?? Infinity)) this.behind.delete(partition);
    this.settle();
  }

  private fetchStarts(nodeId: number): void {
    const last = this.fetches.get(nodeId);
    // What the last fetch brought has been handled by now, and would have taken the mark away.
    this.fetches.set(nodeId, { isFullWait: false, isQuiet: last?.isFullWait ?? false });
    if (this.behind.size > 0 && [...this.fetches.values()].every((fetch) => fetch.isQuiet)) {
      this.behind.clear();
      this.settle();
    }
  }

  private fetchEnds(nodeId: number, durationMs: number): void {
    const fetch = this.fetches.get(nodeId);
    if (fetch) fetch.isFullWait = durationMs >= this.parts.tuning.maxWaitMs * 0.95;
  }

  private settle(): void {
    if (this.behind.size === 0) this.reached.resolve();
  }

  private crashed(error: Error, isRestarting: boolean): void {
    this.warn('a follower crashed and starts again', error);
    if (isRestarting || this.isClosed) return;
    this.restart = setTimeout(() => {
      this.member.run(this.reading).catch((again: Error) => this.crashed(again, false));
    }, RESTART_MS);
  }

  private warn(message: string, error: unknown): void {
    this.parts.hooks.onWarning?.(message, { topic: this.topic, error: String(error) });
  }
}
