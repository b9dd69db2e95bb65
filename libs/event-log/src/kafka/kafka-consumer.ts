import type {
  Admin,
  Batch,
  Consumer,
  ConsumerCrashEvent,
  EachBatchPayload,
  IMemberAssignment,
  Kafka,
} from 'kafkajs';
import { EventLogError } from '../errors.js';
import { partitionKey } from '../fetch-loop.js';
import type {
  AssignedPartition,
  Commit,
  ConsumerHandlers,
  ConsumerOptions,
  EventLogHooks,
  LogConsumer,
  PartitionRef,
  Position,
} from '../port.js';
import { withinRevocationTime } from '../revocation.js';
import { watchForStalls } from '../stall-watchdog.js';
import { atMost } from './at-most.js';
import { coPartitionAssigner } from './co-partition-assigner.js';
import { readableEnds } from './kafka-admin.js';
import { errorTypes, type KafkaTuning } from './kafka-client.js';
import { toStoredRecord } from './kafka-record.js';
import type { RenewableClient } from './renewable-client.js';

/**
 * One member of a group. kafkajs has no hook that can be awaited, so its events are turned into the port's handlers:
 *
 * - outside: not joined. Commits are refused.
 * - assigning (GROUP_JOIN): all is paused before the first fetch; committed offsets and metadata are read, onAssigned
 *   is asked for positions, these are sought. A rejoin meanwhile makes this round void and starts the next.
 * - consuming: batches are handed on and resolved at once; nothing is awaited there, for kafkajs sends heartbeats only
 *   between batches and one slow partition would hold all others.
 * - leaving (REBALANCING, a crash, or stop): onRevoked is called, in time for its commit to go out before the rejoin.
 *
 * A crash that kafkajs does not mend by itself, too many that it does, or a fetch that stalls end in onFatal: a member
 * that lives on without reading is the worst of its known faults.
 */
export interface KafkaConsumerParts {
  /** Its own: see createKafkaClient. */
  kafka: Kafka;
  admin: RenewableClient<Admin>;
  options: ConsumerOptions;
  tuning: KafkaTuning;
  hooks: EventLogHooks;
}

interface Lane extends PartitionRef {
  /** The next offset to hand on. */
  next: number;
  /** Raised by each seek: what was fetched before it is void. */
  seeks: number;
}

/** What the group says when a commit comes from a member it no longer counts. */
const OWNERSHIP_ERRORS = [
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
  'FENCED_INSTANCE_ID',
];
const STOP_TIMEOUT_MS = 10_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;
/** kafkajs's workers only call us, so more than a few bring nothing, and fewer would queue a fetch's partitions. */
const CONCURRENT_BATCHES = 16;

export class KafkaConsumer implements LogConsumer {
  private readonly consumer: Consumer;
  private watchdog: { stop(): void } | undefined;
  private handlers: ConsumerHandlers | undefined;
  private lanes = new Map<string, Lane>();
  /** What onAssigned was told and onRevoked was not. */
  private announced: PartitionRef[] = [];
  private readonly pausedByUser = new Set<string>();
  /** One per join; work of an older one is void. */
  private round = 0;
  private isJoined = false;
  private isOpen = false;
  private isRejoinExpected = false;
  private crashesInRow = 0;
  private isStopped = false;
  private isFatal = false;
  private running: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;
  /** The handlers' turns, one after the other. */
  private turn: Promise<void> = Promise.resolve();
  private isTurnBusy = false;
  private firstJoin = Promise.withResolvers<void>();

  constructor(private readonly parts: KafkaConsumerParts) {
    const { tuning, options } = parts;
    this.consumer = parts.kafka.consumer({
      groupId: options.group,
      partitionAssigners: [coPartitionAssigner],
      sessionTimeout: tuning.sessionTimeoutMs,
      heartbeatInterval: tuning.heartbeatMs,
      rebalanceTimeout: 60_000,
      maxWaitTimeInMs: tuning.maxWaitMs,
      minBytes: 1,
      maxBytes: tuning.fetchBytes,
      maxBytesPerPartition: tuning.fetchBytesPerPartition,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 30 },
    });
  }

  run(handlers: ConsumerHandlers): Promise<void> {
    this.handlers = handlers;
    this.running ??= this.start();
    return this.running;
  }

  pause(partitions: PartitionRef[]): void {
    for (const ref of partitions) this.pausedByUser.add(partitionKey(ref));
    if (this.isOpen) this.consumer.pause(byTopic(partitions));
  }

  resume(partitions: PartitionRef[]): void {
    for (const ref of partitions) this.pausedByUser.delete(partitionKey(ref));
    if (this.isOpen) this.consumer.resume(byTopic(partitions));
  }

  seek(positions: Position[]): void {
    for (const position of positions) {
      const lane = this.lanes.get(partitionKey(position));
      if (!lane || !this.isJoined) continue;
      lane.next = position.offset;
      lane.seeks++;
      this.consumer.seek({ ...position, offset: String(position.offset) });
    }
  }

  async commit(commits: Commit[]): Promise<void> {
    if (this.isStopped) throw new EventLogError('log_closed', 'the consumer is stopped');
    const owned = commits.filter((commit) => this.isOwned(commit));
    const offsets = owned.map(({ next, ...rest }) => ({ ...rest, offset: String(next) }));
    try {
      if (offsets.length > 0) await this.consumer.commitOffsets(offsets);
    } catch (error) {
      const isOutside = !this.isJoined || errorTypes(error).some((type) => OWNERSHIP_ERRORS.includes(type));
      const code = isOutside ? 'ownership_lost' : 'log_unavailable';
      throw new EventLogError(code, `not committed: ${String(error)}`, { cause: error });
    }
    // Asked again: kafkajs retries a commit over a rejoin, and drops one made while it crashes without a word.
    const lost = commits.filter((commit) => !this.isOwned(commit));
    if (lost.length > 0)
      throw new EventLogError('ownership_lost', `no longer ours: ${lost.map(partitionKey).join()}`);
  }

  stop(): Promise<void> {
    this.stopping ??= this.leave();
    return this.stopping;
  }

  private async start(): Promise<void> {
    const { consumer } = this;
    const { events } = consumer;
    consumer.on(events.GROUP_JOIN, ({ payload }) => this.joined(payload.memberAssignment));
    consumer.on(events.REBALANCING, () => this.rebalancing());
    consumer.on(events.CRASH, ({ payload }) => this.crashed(payload));
    await consumer.connect();
    const topics = this.parts.options.topics.map((topic) => topic.name);
    // From the beginning, or an offset out of range would skip to the end.
    await consumer.subscribe({ topics, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: CONCURRENT_BATCHES,
      eachBatch: (payload) => this.take(payload),
    });
    // kafkajs resolves also when the join has failed and will be tried again.
    await this.firstJoin.promise;
    this.watchdog = watchForStalls({
      stallTimeoutMs: this.parts.tuning.stallTimeoutMs,
      positions: () => this.activePositions(),
      ends: () => this.parts.admin.use((client) => readableEnds(client, topics)),
      onStall: (error) => this.fail(error),
    });
  }

  private async leave(): Promise<void> {
    this.watchdog?.stop();
    this.firstJoin.reject(new EventLogError('log_closed', 'stopped while joining'));
    this.firstJoin.promise.catch(() => undefined);
    this.isOpen = false;
    this.round++;
    if (this.isJoined) this.consumer.pause(byTopic([...this.lanes.values()]));
    this.takeTurn(() => this.revoke(this.announced));
    await this.turn;
    this.isStopped = true;
    const left = this.consumer
      .disconnect()
      .catch((error: unknown) => this.warn('leaving the group failed', error));
    await atMost(STOP_TIMEOUT_MS, left);
  }

  /** Called synchronously by kafkajs before the first fetch of the new generation. */
  private joined(assignment: IMemberAssignment): void {
    if (this.stopping) return;
    this.isJoined = true;
    this.isOpen = false;
    this.crashesInRow = 0;
    const refs = Object.entries(assignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    );
    this.lanes = new Map(refs.map((ref) => [partitionKey(ref), { ...ref, next: 0, seeks: 0 }]));
    this.consumer.pause(byTopic(refs));
    const round = ++this.round;
    // Stale metadata and an unknown member id make kafkajs rejoin without a word.
    const lost = this.isRejoinExpected
      ? []
      : this.announced.filter((ref) => !this.lanes.has(partitionKey(ref)));
    this.isRejoinExpected = false;
    this.takeTurn(async () => {
      await this.revoke(lost);
      await this.assign(round, refs);
    });
    this.firstJoin.resolve();
  }

  private rebalancing(): void {
    this.isOpen = false;
    this.isRejoinExpected = true;
    this.round++;
    this.takeTurn(() => this.revoke(this.announced));
  }

  private crashed({ error, restart }: ConsumerCrashEvent['payload']): void {
    if (this.stopping) return;
    this.isJoined = false;
    this.rebalancing();
    this.warn(restart ? 'the consumer crashed and starts again' : 'the consumer crashed', error);
    const isHopeless = ++this.crashesInRow > this.parts.tuning.maxRestarts;
    if (!restart || isHopeless) this.fail(error);
  }

  private fail(error: Error): void {
    if (this.isFatal || this.stopping) return;
    this.isFatal = true;
    this.watchdog?.stop();
    this.firstJoin.reject(error);
    this.handlers?.onFatal(error);
  }

  /** At once when nothing else runs: a commit made by onRevoked must leave before kafkajs rejoins. */
  private takeTurn(work: () => Promise<void>): void {
    const begin = async (): Promise<void> => {
      this.isTurnBusy = true;
      await work().catch((error: unknown) => this.warn('a handler failed', error));
      this.isTurnBusy = false;
    };
    this.turn = this.isTurnBusy ? this.turn.then(begin) : begin();
  }

  private async revoke(refs: PartitionRef[]): Promise<void> {
    if (refs.length === 0) return;
    const gone = new Set(refs.map(partitionKey));
    this.announced = this.announced.filter((ref) => !gone.has(partitionKey(ref)));
    for (const key of gone) this.pausedByUser.delete(key);
    await withinRevocationTime(this.handlers?.onRevoked(refs));
  }

  private async assign(round: number, refs: PartitionRef[]): Promise<void> {
    for (let waitMs = RETRY_MIN_MS; round === this.round && refs.length > 0; waitMs *= 2) {
      try {
        const partitions = await this.readCommitted(refs);
        if (round !== this.round) return;
        this.announced = refs;
        const positions = (await this.handlers?.onAssigned(partitions)) ?? [];
        if (round === this.round) this.open(partitions, positions);
        return;
      } catch (error) {
        this.warn('partitions could not be taken up; trying again', error);
        await sleep(Math.min(waitMs, RETRY_MAX_MS));
      }
    }
  }

  private open(partitions: AssignedPartition[], positions: Position[]): void {
    const asked = new Map(positions.map((position) => [partitionKey(position), position.offset]));
    this.isOpen = true;
    for (const { topic, partition, committed } of partitions) {
      const offset = asked.get(partitionKey({ topic, partition })) ?? committed;
      if (offset !== null) this.seek([{ topic, partition, offset }]);
    }
    this.consumer.resume(byTopic(partitions.filter((ref) => !this.pausedByUser.has(partitionKey(ref)))));
  }

  private activePositions(): Position[] {
    const active = [...this.lanes].filter(([key]) => !this.pausedByUser.has(key));
    return active.map(([, { topic, partition, next }]) => ({ topic, partition, offset: next }));
  }

  private async readCommitted(refs: PartitionRef[]): Promise<AssignedPartition[]> {
    const topics = [...new Set(refs.map((ref) => ref.topic))];
    const groupId = this.parts.options.group;
    const stored = await this.parts.admin.use((client) => client.fetchOffsets({ groupId, topics }));
    return refs.map((ref) => {
      const ofTopic = stored.find((entry) => entry.topic === ref.topic)?.partitions;
      const commit = ofTopic?.find((entry) => entry.partition === ref.partition);
      const offset = Number(commit?.offset ?? -1);
      return { ...ref, committed: offset < 0 ? null : offset, metadata: commit?.metadata ?? '' };
    });
  }

  /** What is not resolved here is fetched again, so a batch that comes at the wrong time is simply left. */
  private async take({ batch, resolveOffset, isStale }: EachBatchPayload): Promise<void> {
    const lane = this.lanes.get(partitionKey(batch));
    if (!lane || !this.isOpen || isStale()) return;
    const seeks = lane.seeks;
    const limit = this.parts.options.maxBatchRecords ?? batch.messages.length;
    const fresh = batch.messages.findIndex((message) => Number(message.offset) >= lane.next);
    for (let from = fresh < 0 ? batch.messages.length : fresh; from < batch.messages.length; from += limit) {
      if (this.pausedByUser.has(partitionKey(lane)) || lane.seeks !== seeks || !this.isOpen) return;
      const last = this.handOn(lane, batch, from, from + limit);
      resolveOffset(last);
    }
    if (fresh < 0) resolveOffset(batch.lastOffset());
  }

  private handOn(lane: Lane, batch: Batch, from: number, to: number): string {
    const messages = batch.messages.slice(from, to);
    const last = to >= batch.messages.length ? batch.lastOffset() : (messages.at(-1)?.offset as string);
    lane.next = Number(last) + 1;
    const records = messages.map(toStoredRecord);
    const { topic, partition } = lane;
    try {
      this.handlers?.onRecords({ topic, partition, records, next: lane.next });
    } catch (error) {
      // Handed on, yet not taken: going on would lose these records.
      this.fail(error as Error);
    }
    return messages.at(-1)?.offset as string;
  }

  private isOwned(ref: PartitionRef): boolean {
    return this.isJoined && this.lanes.has(partitionKey(ref));
  }

  private warn(message: string, error: unknown): void {
    this.parts.hooks.onWarning?.(message, { group: this.parts.options.group, error: String(error) });
  }
}

function byTopic(refs: PartitionRef[]): { topic: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of refs) topics.set(topic, [...(topics.get(topic) ?? []), partition]);
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
