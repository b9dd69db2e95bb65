import { EventLogError } from '../errors.js';
import { FetchLoop, type FetchSource } from '../fetch-loop.js';
import type {
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
import type { GroupMembership, PartitionShare } from './group-membership.js';

/**
 * A member of a group on the PostgreSQL log.
 *
 * States of one partition index: not ours -> claimed (the database says we own it) -> held (onAssigned answered,
 * reading) -> leaving (onRevoked runs, at most 2 s) -> released. The database decides who owns what, in heartbeats;
 * `reconcile` moves what is held here towards it, one step at a time: first give up, then take.
 *
 * Two clocks bound a hand-over. A killed member's lock is free at once and the others' next heartbeat sees it. A
 * frozen one keeps its lock and loses its lease; when it wakes, it hands nothing on before a heartbeat told it what
 * it still owns, and its commits are refused.
 */
export interface PostgresConsumerOptions extends ConsumerOptions {
  membership: GroupMembership;
  source: FetchSource;
  ends(): Promise<Position[]>;
  /** Tells the loop of news in the topics, and of the group's; answers how to stop that. */
  subscribe(loop: FetchLoop, onGroupNews: () => void, onReconnected: () => void): () => void;
  hooks: EventLogHooks;
  leaseMs: number;
  heartbeatMs: number;
  stallTimeoutMs: number;
}

/** After a reconnect others are on their way back too: their missing locks say nothing yet. */
const LOCK_GRACE_MS = 3_000;
const JOIN_RETRY_MS = 200;

export class PostgresConsumer implements LogConsumer {
  readonly #options: PostgresConsumerOptions;
  readonly #membership: GroupMembership;
  readonly #held = new Set<number>();
  #handlers: ConsumerHandlers | undefined;
  #loop: FetchLoop | undefined;
  #shares: PartitionShare[] = [];
  #leaseRenewedAt = 0;
  #connectedAt = -Infinity;
  #beating: Promise<void> | undefined;
  #beatAgain = false;
  #heartbeats: NodeJS.Timeout | undefined;
  #reconciling: Promise<void> | undefined;
  #stopped = false;
  #release: () => void = () => undefined;

  constructor(options: PostgresConsumerOptions) {
    this.#options = options;
    this.#membership = options.membership;
  }

  async run(handlers: ConsumerHandlers): Promise<void> {
    const { source, hooks, heartbeatMs, stallTimeoutMs, maxBatchRecords } = this.#options;
    const loop = new FetchLoop({
      source: { fetch: async (wanted, limits) => this.#stillOurs(await source.fetch(wanted, limits)) },
      onRecords: (batch) => handlers.onRecords(batch),
      onRetry: (error) => hooks.onWarning?.('reading the log failed', { error }),
      onFatal: (error) => handlers.onFatal(error),
      ...(maxBatchRecords === undefined ? {} : { recordsPerPartition: maxBatchRecords }),
    });
    this.#handlers = handlers;
    this.#loop = loop;
    const unsubscribe = this.#options.subscribe(
      loop,
      () => void this.#beat(),
      () => {
        this.#connectedAt = performance.now();
        this.#membership.lockWasLost();
        void this.#beat();
      },
    );
    const watchdog = watchForStalls({
      stallTimeoutMs,
      positions: () => loop.activePositions(),
      ends: () => this.#options.ends(),
      onStall: (error) => handlers.onFatal(error),
    });
    this.#release = () => {
      unsubscribe();
      watchdog.stop();
      clearInterval(this.#heartbeats);
    };
    while (this.#membership.member === 0 || this.#leaseRenewedAt === 0) {
      if (this.#stopped) return;
      await this.#beat();
      if (this.#leaseRenewedAt === 0) await new Promise((resolve) => setTimeout(resolve, JOIN_RETRY_MS));
    }
    // It may have been stopped in its last beat.
    if (!this.#stopped) this.#heartbeats = setInterval(() => void this.#beat(), heartbeatMs);
  }

  pause(partitions: PartitionRef[]): void {
    this.#loop?.pause(partitions);
  }

  resume(partitions: PartitionRef[]): void {
    this.#loop?.resume(partitions);
  }

  seek(positions: Position[]): void {
    this.#loop?.seek(positions);
  }

  async commit(commits: Commit[]): Promise<void> {
    if (commits.length > 0) await this.#membership.commit(commits);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#release();
    await this.#loop?.close();
    await this.#reconciling;
    await this.#beating;
    await this.#letGo([...this.#held]);
    await this.#membership.leave().catch((error: unknown) => {
      // The lock goes with the connection and the lease runs out: the others take over a little later.
      this.#options.hooks.onWarning?.('leaving the group failed', { error });
    });
  }

  /** One heartbeat at a time; news that comes meanwhile leads to one more. */
  #beat(): Promise<void> {
    if (this.#beating) {
      this.#beatAgain = true;
      return this.#beating;
    }
    this.#beating = this.#beatOnce().finally(() => {
      this.#beating = undefined;
      if (this.#beatAgain && !this.#stopped) {
        this.#beatAgain = false;
        void this.#beat();
      }
    });
    return this.#beating;
  }

  async #beatOnce(): Promise<void> {
    if (this.#stopped) return;
    try {
      const sentAt = performance.now();
      const shares = await this.#membership.heartbeat(sentAt - this.#connectedAt > LOCK_GRACE_MS);
      this.#shares = shares;
      this.#leaseRenewedAt = sentAt;
    } catch (error) {
      this.#options.hooks.onWarning?.('a heartbeat failed', { group: this.#options.group, error });
      return;
    }
    this.#reconcile();
  }

  #reconcile(): void {
    this.#reconciling ??= this.#moveTowardsShares()
      .catch((error: unknown) => {
        // The next heartbeat tries again.
        this.#options.hooks.onWarning?.('taking or giving up partitions failed', {
          group: this.#options.group,
          error,
        });
      })
      .finally(() => {
        this.#reconciling = undefined;
      });
  }

  async #moveTowardsShares(): Promise<void> {
    while (!this.#stopped) {
      const me = this.#membership.member;
      const owned = this.#shares.filter((share) => share.owner === me);
      const lost = [...this.#held].filter((index) => !owned.some((share) => share.index === index));
      if (lost.length > 0) {
        await this.#letGo(lost);
        continue;
      }
      const surplus = owned.filter((share) => share.dueTo !== me).map((share) => share.index);
      if (surplus.length > 0) {
        await this.#letGo(surplus);
        await this.#membership.release(surplus);
        this.#shares = this.#shares.filter((share) => !surplus.includes(share.index));
        continue;
      }
      const gained = owned.map((share) => share.index).filter((index) => !this.#held.has(index));
      if (gained.length === 0) return;
      await this.#take(gained);
    }
  }

  async #take(indexes: number[]): Promise<void> {
    const assigned = await this.#membership.partitions(indexes);
    const chosen = (await this.#handlers?.onAssigned(assigned)) ?? [];
    for (const index of indexes) this.#held.add(index);
    if (this.#stopped) return;
    const starts = assigned.map(({ topic, partition, committed }) => {
      const own = chosen.find((position) => position.topic === topic && position.partition === partition);
      return { topic, partition, offset: own?.offset ?? committed ?? 0 };
    });
    this.#loop?.add(starts);
  }

  async #letGo(indexes: number[]): Promise<void> {
    const refs = this.#refs(indexes.filter((index) => this.#held.delete(index)));
    this.#loop?.remove(refs);
    if (refs.length > 0) await withinRevocationTime(this.#handlers?.onRevoked(refs));
  }

  #refs(indexes: number[]): PartitionRef[] {
    return this.#options.topics.flatMap(({ name }) =>
      indexes.map((partition) => ({ topic: name, partition })),
    );
  }

  /** A process that was frozen longer than its lease must not hand on what others may hold by now. */
  #stillOurs<T>(fetched: T): T {
    if (performance.now() - this.#leaseRenewedAt <= this.#options.leaseMs) return fetched;
    throw new EventLogError('ownership_lost', 'the lease ran out before records could be handed on');
  }
}
