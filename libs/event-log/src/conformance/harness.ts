import { randomBytes } from 'node:crypto';
import type { Cleanup, Topic } from '@posthaste/contracts';
import type { OpenEventLogOptions } from '../open-event-log.js';
import { partitionKey } from '../partition-key.js';
import type {
  AssignedPartition,
  Commit,
  EventLog,
  EventLogHooks,
  LogConsumer,
  OutgoingRecord,
  PartitionRef,
  Position,
  RecordBatch,
  StoredRecord,
} from '../port.js';

/** What an adapter gives the conformance suite: a log that can be opened often, and taken away. */
export interface LogHarness {
  name: string;
  /** False for a log that lives in this process: nobody is killed then. */
  isSharedByProcesses: boolean;
  /** Far above what the log needs to acknowledge or to hand on a record, busy machines included. */
  patienceMs: number;
  start: () => Promise<LogUnderTest>;
}

/** What a test may tighten, so that it need not wait for production's patience. */
export interface TestTuning {
  ackTimeoutMs?: number;
  maxQueuedBytes?: number;
  stallTimeoutMs?: number;
  hooks?: EventLogHooks;
}

export interface LogUnderTest {
  /** Another process's view of the same log. The suite closes what it opened. */
  open(tuning?: TestTuning): Promise<EventLog>;
  /** The log does not answer any more; nothing acknowledged may be lost by it. */
  stopBroker(): Promise<void>;
  startBroker(): Promise<void>;
  /** From now on appends reach the log and their acknowledgements do not come back; call the answer to end that. */
  loseAcknowledgements(): Promise<() => Promise<void>>;
  /** Fetches return nothing although the log answers everything else; call the answer to end that. */
  stallFetching(): Promise<() => Promise<void>>;
  /**
   * The topic's superseded records are gone when it resolves. May append records with FILLER_KEY: Kafka never cleans
   * the segment it writes to.
   */
  compact(topic: Pick<Topic, 'name'>): Promise<void>;
  /** How another operating system process opens this log. */
  childOptions?: OpenEventLogOptions;
  stop(): Promise<void>;
}

export const FILLER_KEY = 'filler';

/** Keyed text records; every test has topics of its own, so that one log serves a whole suite. */
export type TextTopic = Topic<{ key: string; text: string }>;

export function newTopic(
  partitions: number,
  cleanup: Cleanup = { policy: 'delete', retentionMs: 86_400_000 },
): TextTopic {
  return {
    name: `test-${randomBytes(6).toString('hex')}`,
    partitions: { production: partitions, single: partitions },
    cleanup,
    encode: ({ key, text }) => ({ key, value: Buffer.from(text) }),
    decode: ({ value }) => ({ key: '', text: value.toString() }),
  };
}

export const newGroup = (): string => `group-${randomBytes(6).toString('hex')}`;

export const textRecord = (topic: Pick<Topic, 'name'>, key: string, text: string): OutgoingRecord => ({
  topic,
  key,
  value: Buffer.from(text),
});

/** Waits for a condition that events bring about elsewhere; says what did not happen. */
export async function eventually(what: string, isSo: () => boolean, withinMs = 30_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface Taken extends PartitionRef {
  offset: number;
  key: string;
  text: string;
}

/** A group's member as small as can be: takes everything, remembers it, and commits when told. */
export class Member {
  readonly taken: Taken[] = [];
  readonly owned = new Set<string>();
  readonly assignments: AssignedPartition[] = [];
  readonly fatal: Error[] = [];
  commitsItself = false;
  onBatch: (batch: RecordBatch) => void = () => undefined;
  startAt: (partitions: AssignedPartition[]) => Position[] = () => [];
  readonly #next = new Map<string, Commit>();
  #committing: Promise<void> = Promise.resolve();

  private constructor(readonly consumer: LogConsumer) {}

  static async join(
    log: EventLog,
    group: string,
    topics: Pick<Topic, 'name'>[],
    options: Partial<Pick<Member, 'commitsItself' | 'onBatch' | 'startAt'>> & {
      maxBatchRecords?: number;
      gatherMs?: number;
    } = {},
  ): Promise<Member> {
    const { maxBatchRecords, gatherMs, ...own } = options;
    const tuning = {
      ...(maxBatchRecords === undefined ? {} : { maxBatchRecords }),
      ...(gatherMs === undefined ? {} : { gatherMs }),
    };
    const member = new Member(log.consumer({ group, topics, ...tuning }));
    Object.assign(member, own);
    await member.#run();
    return member;
  }

  /** Everything taken so far of what is still owned. */
  async commitTaken(): Promise<void> {
    const commits = [...this.#next.values()].filter((commit) => this.owned.has(partitionKey(commit)));
    if (commits.length > 0) await this.consumer.commit(commits);
  }

  texts(): string[] {
    return this.taken.map((record) => record.text);
  }

  #run(): Promise<void> {
    return this.consumer.run({
      onAssigned: (partitions) => {
        for (const partition of partitions) this.owned.add(partitionKey(partition));
        this.assignments.push(...partitions);
        return this.startAt(partitions);
      },
      onRecords: (batch) => {
        for (const { offset, key, value } of batch.records) {
          this.taken.push({
            topic: batch.topic,
            partition: batch.partition,
            offset,
            key,
            text: value.toString(),
          });
        }
        const { topic, partition, next } = batch;
        this.#next.set(partitionKey(batch), { topic, partition, next, metadata: '' });
        this.onBatch(batch);
        if (this.commitsItself) void this.#commitSoon();
      },
      onRevoked: async (partitions) => {
        if (this.commitsItself) await this.#commitSoon();
        for (const partition of partitions) {
          this.owned.delete(partitionKey(partition));
          this.#next.delete(partitionKey(partition));
        }
      },
      onFatal: (error) => void this.fatal.push(error),
    });
  }

  #commitSoon(): Promise<void> {
    // A refused commit is the protocol at work: whoever owns the partition now reads the records again.
    this.#committing = this.#committing.then(() => this.commitTaken()).catch(() => undefined);
    return this.#committing;
  }
}

/** All of a topic as it is now, without a group. */
export async function readAll(log: EventLog, topic: Pick<Topic, 'name'>): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  const following = await log.reader.follow(topic, (record) => void records.push(record));
  await following.caughtUp;
  await following.close();
  return records;
}

/** A key for each partition, so that a test can address it. */
export function keysByPartition(
  partitions: number,
  partitionOf: (key: string, partitions: number) => number,
): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.filter(Boolean).length < partitions; i++) {
    keys[partitionOf(`key-${i}`, partitions)] ??= `key-${i}`;
  }
  return keys;
}
