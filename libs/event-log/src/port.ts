import type { EncodedRecord, Topic } from '@posthaste/contracts';

/**
 * The log: append-only partitions of records, read by groups of consumers.
 *
 * What it promises
 * - Records of one key go to one partition and are read in the order they were acknowledged.
 * - `append` resolves only when every record is durable on all in-sync replicas. A rejection is indeterminate: the
 *   records may be in the log, in part or whole, and may be there twice after a retry.
 * - A consumer group reads every record at least once; partition i of every topic a group subscribes to belongs to
 *   one member at a time (co-partitioned), but for the moment of a hand-over, when both may hold it.
 * - Offsets rise by one per record in PostgreSQL and memory; Kafka may skip some. Never compute with gaps.
 *
 * What it does not promise: exactly-once, order across partitions, or that a handler's record is still owned when its
 * work ends. Consumers make their effects idempotent.
 *
 * `Topic` objects come from contracts; the partition of a key is ours (`partitionOf`), the same in every adapter.
 */
export interface OutgoingRecord extends EncodedRecord {
  // A producer passes records of many topics; the item type no longer matters once a record is encoded.
  topic: Pick<Topic, 'name'>;
  /** W3C traceparent, only while tracing is on. */
  trace?: string | undefined;
}

export interface StoredRecord extends EncodedRecord {
  offset: number;
  /** When the log took it, ms since 1970. */
  appendedAt: number;
  trace?: string | undefined;
}

export interface PartitionRef {
  topic: string;
  partition: number;
}

export interface Position extends PartitionRef {
  offset: number;
}

/** Records of one partition in offset order. `next` is where reading goes on: above the last record, and above gaps. */
export interface RecordBatch extends PartitionRef {
  records: StoredRecord[];
  next: number;
}

/** A partition this member now owns, and what the group last committed for it (null: nothing yet). */
export interface AssignedPartition extends PartitionRef {
  committed: number | null;
  metadata: string;
}

/** `next` is the first offset not yet done; `metadata` (at most 4,096 characters) comes back on assignment. */
export interface Commit extends PartitionRef {
  next: number;
  metadata: string;
}

export interface ConsumerHandlers {
  /**
   * Partitions were gained. Reading starts at the positions returned, else at the committed ones, else at the oldest
   * record. Called again with all that is owned after a Kafka rejoin: expect partitions already held.
   */
  onAssigned(partitions: AssignedPartition[]): Promise<Position[]> | Position[];
  /** Must take the batch and return at once; work happens elsewhere, and `pause` holds the flow. */
  onRecords(batch: RecordBatch): void;
  /** Partitions are about to be lost: stop starting work and commit, within 2 s. In-flight work may finish. */
  onRevoked(partitions: PartitionRef[]): Promise<void> | void;
  /** Consuming cannot go on (fetching stalled, or the group refused us for good): the process should end. */
  onFatal(error: Error): void;
}

export interface ConsumerOptions {
  group: string;
  topics: Pick<Topic, 'name'>[];
  /** At most this many records per partition and fetch. */
  maxBatchRecords?: number;
  /**
   * How long news may wait to be read together; 0 when not given. Then records are handed on as they come, at the
   * price of a wake-up and a read for each; a consumer nobody waits for says how late it may be.
   */
  gatherMs?: number;
}

export interface LogProducer {
  /**
   * Appends all and answers their positions in order. Batches by itself: flushes at once when nothing is in flight.
   * Rejects with EventLogError `log_unavailable` after 10 s without acknowledgement, `log_queue_full` when 64 MB wait.
   */
  append(records: OutgoingRecord[]): Promise<Position[]>;
  /** Waits for what was appended, at most `timeoutMs`, then refuses more. */
  close(timeoutMs?: number): Promise<void>;
}

export interface LogConsumer {
  /** Resolves when the member has joined; handlers are called from then on. */
  run(handlers: ConsumerHandlers): Promise<void>;
  /** No batch of them is handed on after the call, nor skipped. A revocation ends the pause. */
  pause(partitions: PartitionRef[]): void;
  resume(partitions: PartitionRef[]): void;
  /** Reading goes on from these offsets: the next batch handed on begins there, whatever was fetched before. */
  seek(positions: Position[]): void;
  /** Rejects with `ownership_lost` when one of the partitions is no longer ours. */
  commit(commits: Commit[]): Promise<void>;
  /** Stops fetching, calls onRevoked for all that is owned, leaves the group so that others take over at once. */
  stop(): Promise<void>;
}

export interface LogReader {
  /**
   * Reads every record of a topic from the oldest to the ends as they were when called, then goes on following new
   * ones until closed. `caughtUp` resolves when those first ends are reached. No group, no commits: for compacted topics.
   * `gatherMs`: how long news may wait, as a consumer says it.
   */
  follow(
    topic: Pick<Topic, 'name'>,
    onRecord: (record: StoredRecord, partition: number) => void,
    gatherMs?: number,
  ): Promise<{ caughtUp: Promise<void>; close(): Promise<void> }>;
}

/** What of a topic the log itself must know. */
export type TopicLayout = Pick<Topic, 'name' | 'partitions' | 'cleanup'>;

export interface LogAdmin {
  /** Creates what is missing and leaves the rest as it is. `scale` chooses the partition counts. */
  ensureTopics(topics: TopicLayout[], scale: 'production' | 'single'): Promise<void>;
  /** The next offset of every partition of the topic. */
  endOffsets(topic: Pick<Topic, 'name'>): Promise<Position[]>;
  /** The oldest offset still kept of every partition. */
  startOffsets(topic: Pick<Topic, 'name'>): Promise<Position[]>;
  /** How far a group's commits are behind the ends. */
  lag(group: string, topics: Pick<Topic, 'name'>[]): Promise<(PartitionRef & { lag: number })[]>;
}

/** Counters and warnings the host may listen to; the library itself logs nothing. */
export interface EventLogHooks {
  onWarning?(message: string, details: Record<string, unknown>): void;
}

/** One connection to a log. An abstract class so that Nest can inject it by its type. */
export abstract class EventLog {
  /** The producer of this process: one is enough, it batches. */
  abstract readonly producer: LogProducer;
  abstract readonly reader: LogReader;
  abstract readonly admin: LogAdmin;
  abstract consumer(options: ConsumerOptions): LogConsumer;
  /** Closes what this log opened. Consumers are stopped by their owners before. */
  abstract close(): Promise<void>;
}
