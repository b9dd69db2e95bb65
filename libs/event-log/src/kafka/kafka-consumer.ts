import type { Admin, Consumer, ConsumerCrashEvent, IMemberAssignment, Kafka } from 'kafkajs';
import { EventLogError } from '../errors.js';
import { partitionKey } from '../partition-key.js';
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
import { GroupMember } from './group-member.js';
import { readableEnds, readCommitted } from './kafka-admin.js';
import { errorTypes, type KafkaTuning } from './kafka-client.js';
import { PartitionFeeds } from './partition-feeds.js';
import type { RenewableClient } from './renewable-client.js';

/**
 * One member of a group. kafkajs has no hook that can be awaited, so its events are turned into the port's handlers:
 *
 * - outside: not joined. Commits are refused.
 * - assigning (GROUP_JOIN): all is paused before the first fetch; committed offsets and metadata are read, onAssigned
 *   is asked for positions, these are sought. A rejoin meanwhile makes this round void and starts the next.
 * - consuming: batches are handed on and resolved at once, by PartitionFeeds.
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
  private readonly member: GroupMember;
  private readonly consumer: Consumer;
  private watchdog: { stop(): void } | undefined;
  private handlers: ConsumerHandlers | undefined;
  private readonly feeds: PartitionFeeds;
  /** What onAssigned was told and onRevoked was not. */
  private announced: PartitionRef[] = [];
  /** One per join; work of an older one is void. */
  private round = 0;
  private isJoined = false;
  private isRejoinExpected = false;
  private crashesInRow = 0;
  private isStopped = false;
  private isFatal = false;
  private running: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;
  /** The handlers' turns, one after the other. */
  private turn: Promise<void> = Promise.resolve();
  private turnsWanted = 0;
  private readonly firstJoin = Promise.withResolvers<void>();

  constructor(private readonly parts: KafkaConsumerParts) {
    const { tuning, options } = parts;
    // Never longer than a heartbeat may take: it goes out between fetches.
    const gatherMs = Math.min(options.gatherMs ?? 0, tuning.heartbeatMs);
    this.member = new GroupMember(parts.kafka, {
      groupId: options.group,
      sessionTimeout: tuning.sessionTimeoutMs,
      heartbeatInterval: tuning.heartbeatMs,
      rebalanceTimeout: 60_000,
      // One that gathers leaves a fetch with the broker until there is much to take or the time is over.
      maxWaitTimeInMs: gatherMs > 0 ? gatherMs : tuning.maxWaitMs,
      minBytes: gatherMs > 0 ? tuning.fetchBytesPerPartition : 1,
      maxBytes: tuning.fetchBytes,
      maxBytesPerPartition: tuning.fetchBytesPerPartition,
    });
    this.consumer = this.member.consumer;
    // Refused before run() waits for it, it must not end the process.
    this.firstJoin.promise.catch(() => undefined);
    this.feeds = new PartitionFeeds({
      consumer: this.consumer,
      maxBatchRecords: options.maxBatchRecords,
      onRecords: (batch) => this.handlers?.onRecords(batch),
      onRefused: (error) => this.fail(error),
    });
  }

  run(handlers: ConsumerHandlers): Promise<void> {
    this.handlers = handlers;
    this.running ??= this.start();
    return this.running;
  }

  pause(partitions: PartitionRef[]): void {
    this.feeds.pause(partitions);
  }

  resume(partitions: PartitionRef[]): void {
    this.feeds.resume(partitions);
  }

  seek(positions: Position[]): void {
    if (this.isJoined) this.feeds.seek(positions);
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
    const topics = this.parts.options.topics.map((topic) => topic.name);
    await this.member.start(topics, {
      partitionsConsumedConcurrently: CONCURRENT_BATCHES,
      eachBatch: (payload) => {
        this.feeds.take(payload);
        return Promise.resolve();
      },
    });
    // kafkajs resolves also when the join has failed and will be tried again.
    await this.firstJoin.promise;
    this.watchdog = watchForStalls({
      stallTimeoutMs: this.parts.tuning.stallTimeoutMs,
      positions: () => this.feeds.activePositions(),
      ends: () => this.parts.admin.ask((client) => readableEnds(client, topics)),
      onStall: (error) => this.fail(error),
    });
  }

  private async leave(): Promise<void> {
    this.watchdog?.stop();
    this.firstJoin.reject(new EventLogError('log_closed', 'stopped while joining'));
    this.feeds.close();
    this.round++;
    if (this.isJoined) this.feeds.pauseAll();
    this.takeTurn(() => this.revoke(this.announced));
    await this.turn;
    this.isStopped = true;
    const left = this.member.end().catch((error: unknown) => this.warn('leaving the group failed', error));
    await atMost(STOP_TIMEOUT_MS, left);
  }

  /** Called synchronously by kafkajs before the first fetch of the new generation. */
  private joined(assignment: IMemberAssignment): void {
    if (this.stopping) return;
    this.isJoined = true;
    this.crashesInRow = 0;
    const refs = Object.entries(assignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    );
    this.feeds.own(refs);
    const round = ++this.round;
    // Stale metadata and an unknown member id make kafkajs rejoin without a word.
    const lost = this.isRejoinExpected ? [] : this.announced.filter((ref) => !this.feeds.has(ref));
    this.isRejoinExpected = false;
    this.takeTurn(async () => {
      await this.revoke(lost);
      await this.assign(round, refs);
    });
    this.firstJoin.resolve();
  }

  private rebalancing(): void {
    this.feeds.close();
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
      await work().catch((error: unknown) => this.warn('a handler failed', error));
      this.turnsWanted--;
    };
    this.turn = this.turnsWanted++ === 0 ? begin() : this.turn.then(begin);
  }

  private async revoke(refs: PartitionRef[]): Promise<void> {
    if (refs.length === 0) return;
    const gone = new Set(refs.map(partitionKey));
    this.announced = this.announced.filter((ref) => !gone.has(partitionKey(ref)));
    this.feeds.forgetPauses(refs);
    await withinRevocationTime(this.handlers?.onRevoked(refs));
  }

  private async assign(round: number, refs: PartitionRef[]): Promise<void> {
    for (let waitMs = RETRY_MIN_MS; round === this.round && refs.length > 0; waitMs *= 2) {
      try {
        const { admin, options } = this.parts;
        const partitions = await admin.ask((client) => readCommitted(client, options.group, refs));
        if (round !== this.round) return;
        this.announced = refs;
        const asked = (await this.handlers?.onAssigned(partitions)) ?? [];
        if (round === this.round) this.feeds.open(startPositions(partitions, asked));
        return;
      } catch (error) {
        this.warn('partitions could not be taken up; trying again', error);
        await sleep(Math.min(waitMs, RETRY_MAX_MS));
      }
    }
  }

  private isOwned(ref: PartitionRef): boolean {
    return this.isJoined && this.feeds.has(ref);
  }

  private warn(message: string, error: unknown): void {
    this.parts.hooks.onWarning?.(message, { group: this.parts.options.group, error: String(error) });
  }
}

/** Where onAssigned says, else where the group's commits say; neither: nothing, which is the oldest record. */
function startPositions(partitions: AssignedPartition[], asked: Position[]): Position[] {
  const wished = new Map(asked.map((position) => [partitionKey(position), position.offset]));
  return partitions.flatMap(({ topic, partition, committed }) => {
    const offset = wished.get(partitionKey({ topic, partition })) ?? committed;
    return offset === null ? [] : [{ topic, partition, offset }];
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
