import { setTimeout as sleep } from 'node:timers/promises';
import type { Topic } from '@posthaste/contracts';
import { EventLogError } from '../errors.js';
import { partitionKey } from '../partition-key.js';
import type {
  AssignedPartition,
  Commit,
  EventLog,
  LogConsumer,
  PartitionRef,
  Position,
  RecordBatch,
} from '../port.js';
import { ProjectionLane } from './projection-lane.js';
import type { ProjectionBatch, ProjectionStore } from './projection-store.js';
import { restMs } from './rest.js';

/**
 * Runs a projection: reads topics in order and hands batches to a store that writes rows and position in one
 * transaction. The group's committed offsets only show lag to operators; the truth is the store's own position.
 *
 * States of the loop: idle (nothing queued) -> applying (one transaction in flight, more is queued meanwhile) ->
 * resting (only while others come first) -> gathering (until `gatherMs` after that transaction began, or until much is
 * queued) -> applying ... -> idle. What comes while it is idle is applied at once; what trickles in shares a transaction,
 * because each costs the same for one record or a hundred.
 *
 * A `conflict` means somebody else moved the position (a zombie, or us before a lost answer): positions are loaded
 * again and reading goes on from there. A thrown error is an unreachable store: the batch is kept and tried again,
 * less the partitions that were lost meanwhile. A record the store can never apply is the store's to put aside: here
 * it would hold up everything behind it.
 */
export interface ProjectionOptions {
  log: EventLog;
  group: string;
  topics: Pick<Topic, 'name'>[];
  store: ProjectionStore;
  /** How long rows may lag behind the log so that records can share reads and transactions; 0: not at all. */
  gatherMs?: number;
  /**
   * Whether others come first now, who share the machine: after a transaction the projection rests for as long as they
   * do, within limits (`rest.ts`), and not while somebody waits for what is to be applied.
   */
  othersFirst?: () => boolean;
  /** The store could not be reached, or a batch failed: reported once per try. */
  onRetry: (error: unknown) => void;
  onFatal: (error: Error) => void;
  onApplied?: (batches: ProjectionBatch[]) => void;
}

export interface RunningProjection {
  /**
   * Resolves once everything up to and including these positions is applied by this replica; positions of partitions
   * another replica owns are waited for until they come here. Rejects with `log_closed` when stopped before.
   */
  whenApplied(positions: Position[]): Promise<void>;
  stop(): Promise<void>;
}

/** One transaction takes no more than this, and at least one batch. */
const APPLY_RECORDS = 1_000;
const APPLY_BYTES = 8_000_000;
/** Read ahead: enough for the next transaction to be ready when one ends. */
const QUEUE_RECORDS = 3_000;
const QUEUE_BYTES = 12_000_000;
/** So much is no trickle: it does not wait for more. */
const GATHERED_RECORDS = 500;
/** While it rests it looks so often whether it has to. */
const REST_LOOK_MS = 100;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;
/** Lag is looked at by people and scalers. */
const COMMIT_EVERY_MS = 1_000;

export async function runProjection(options: ProjectionOptions): Promise<RunningProjection> {
  const projection = new Projection(options);
  await projection.start();
  return projection;
}

interface Waiter {
  positions: Position[];
  resolve: () => void;
  reject: (error: Error) => void;
}

class Projection implements RunningProjection {
  readonly #options: ProjectionOptions;
  readonly #consumer: LogConsumer;
  readonly #lanes = new Map<string, ProjectionLane>();
  readonly #waiters = new Set<Waiter>();
  readonly #uncommitted = new Map<string, Commit>();
  readonly #stopping = new AbortController();
  #working: Promise<void> | undefined;
  /** The transaction now running. */
  #applying: Promise<unknown> = Promise.resolve();
  #lastBeginAt = -Infinity;
  #endGathering: () => void = () => undefined;
  #commitTimer: NodeJS.Timeout | undefined;

  constructor(options: ProjectionOptions) {
    this.#options = options;
    const { group, topics, gatherMs = 0 } = options;
    this.#consumer = options.log.consumer({ group, topics, gatherMs });
  }

  start(): Promise<void> {
    return this.#consumer.run({
      onAssigned: (partitions) => this.#onAssigned(partitions),
      onRecords: (batch) => this.#onRecords(batch),
      onRevoked: (partitions) => this.#onRevoked(partitions),
      onFatal: (error) => this.#options.onFatal(error),
    });
  }

  whenApplied(positions: Position[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.add({ positions, resolve, reject });
      this.#settleWaiters();
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#endGathering();
    await this.#working;
    await this.#consumer.stop();
    clearTimeout(this.#commitTimer);
    for (const { reject } of this.#waiters)
      reject(new EventLogError('log_closed', 'the projection was stopped'));
    this.#waiters.clear();
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #onAssigned(partitions: AssignedPartition[]): Promise<Position[]> {
    const fresh = partitions.filter((ref) => !this.#lanes.has(partitionKey(ref)));
    for (let waitMs = RETRY_MIN_MS; !this.#isStopped; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      try {
        await this.#openLanes(fresh);
        break;
      } catch (error) {
        this.#options.onRetry(error);
        await this.#pause(waitMs);
      }
    }
    this.#settleWaiters();
    // Held ones too: a rejoin sets reading back to the commit, and what is queued need not come again.
    return partitions.map(({ topic, partition, committed }) => {
      const offset = this.#lanes.get(partitionKey({ topic, partition }))?.expected ?? committed ?? 0;
      return { topic, partition, offset };
    });
  }

  #onRecords(batch: RecordBatch): void {
    const lane = this.#lanes.get(partitionKey(batch));
    if (!lane || this.#isStopped) return;
    lane.add(batch);
    const queued = this.#queued;
    if (queued.records >= QUEUE_RECORDS || queued.bytes >= QUEUE_BYTES) this.#hold();
    if (queued.records >= GATHERED_RECORDS) this.#endGathering();
    this.#work();
  }

  /** Waits for the transaction now running only: it may hold rows of these partitions. */
  async #onRevoked(partitions: PartitionRef[]): Promise<void> {
    for (const ref of partitions) this.#lanes.delete(partitionKey(ref));
    this.#readOn();
    await this.#applying;
    await this.#commit();
    for (const ref of partitions) this.#uncommitted.delete(partitionKey(ref));
  }

  /** New lanes at the store's positions; what the old ones had queued is dropped. */
  async #openLanes(refs: PartitionRef[]): Promise<Position[]> {
    if (refs.length === 0) return [];
    const before = new Map(refs.map((ref) => [ref, this.#lanes.get(partitionKey(ref))]));
    const stored = new Map(
      (await this.#options.store.loadPositions(refs)).map((p) => [partitionKey(p), p.offset]),
    );
    // A partition that was lost while the store was asked must not come back by its answer.
    const wanted = refs.filter((ref) => this.#lanes.get(partitionKey(ref)) === before.get(ref));
    return wanted.map((ref) => {
      const lane = new ProjectionLane(ref, stored.get(partitionKey(ref)) ?? 0);
      this.#lanes.set(partitionKey(ref), lane);
      if (before.get(ref)?.isPaused) this.#consumer.resume([lane]);
      return { topic: lane.topic, partition: lane.partition, offset: lane.position };
    });
  }

  #work(): void {
    this.#working ??= this.#applyAll().finally(() => {
      this.#working = undefined;
      if (!this.#isStopped && [...this.#lanes.values()].some((lane) => lane.hasWork)) this.#work();
    });
  }

  async #applyAll(): Promise<void> {
    // What arrives in the same turn of the event loop goes into the same transaction.
    await Promise.resolve();
    while (!this.#isStopped) {
      await this.#gather();
      const work = this.#takeWork();
      if (work.size === 0) return;
      this.#lastBeginAt = performance.now();
      const behindMs = Date.now() - appendedAtOf(work);
      await this.#applyWithRetry(work);
      this.#settleWaiters();
      await this.#rest(behindMs);
    }
  }

  async #rest(behindMs: number): Promise<void> {
    const { othersFirst = () => false } = this.#options;
    const now = performance.now();
    const untilMs = now + restMs({ tookMs: now - this.#lastBeginAt, behindMs });
    while (performance.now() < untilMs && this.#waiters.size === 0 && !this.#isStopped && othersFirst()) {
      await this.#pause(Math.min(REST_LOOK_MS, untilMs - performance.now()));
    }
  }

  /** Waits for company, if the last transaction began only now. */
  async #gather(): Promise<void> {
    const waitMs = this.#lastBeginAt + (this.#options.gatherMs ?? 0) - performance.now();
    const queued = this.#queued;
    if (waitMs <= 0 || queued.records === 0 || queued.records >= GATHERED_RECORDS) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#endGathering = () => (clearTimeout(timer), resolve());
    });
  }

  #takeWork(): Map<ProjectionLane, ProjectionBatch> {
    const work = new Map<ProjectionLane, ProjectionBatch>();
    const room = { records: APPLY_RECORDS, bytes: APPLY_BYTES };
    for (const lane of this.#lanes.values()) {
      const batch = lane.take(room);
      if (!batch) continue;
      work.set(lane, batch);
      // The next transaction begins with the lanes this one had no room for.
      this.#lanes.delete(partitionKey(lane));
      this.#lanes.set(partitionKey(lane), lane);
      if (room.records <= 0 || room.bytes <= 0) break;
    }
    this.#readOn();
    return work;
  }

  /** What is read ahead of the transactions, of all partitions together: a replica may own a hundred. */
  get #queued(): { records: number; bytes: number } {
    const queued = { records: 0, bytes: 0 };
    for (const lane of this.#lanes.values()) {
      queued.records += lane.records;
      queued.bytes += lane.bytes;
    }
    return queued;
  }

  #hold(): void {
    const reading = [...this.#lanes.values()].filter((lane) => !lane.isPaused);
    for (const lane of reading) lane.isPaused = true;
    if (reading.length > 0) this.#consumer.pause(reading);
  }

  /** If what is queued has become little, for whatever reason: nobody else would ask for more. */
  #readOn(): void {
    const queued = this.#queued;
    if (queued.records > QUEUE_RECORDS / 2 || queued.bytes > QUEUE_BYTES / 2) return;
    const held = [...this.#lanes.values()].filter((lane) => lane.isPaused);
    for (const lane of held) lane.isPaused = false;
    if (held.length > 0) this.#consumer.resume(held);
  }

  async #applyWithRetry(work: Map<ProjectionLane, ProjectionBatch>): Promise<void> {
    for (let waitMs = RETRY_MIN_MS; !this.#isStopped; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      for (const lane of work.keys()) if (this.#lanes.get(partitionKey(lane)) !== lane) work.delete(lane);
      if (work.size === 0) return;
      try {
        const applying = this.#options.store.apply([...work.values()]);
        this.#applying = applying.catch(() => undefined);
        if ((await applying) === 'applied') this.#markApplied(work);
        // All that is owned is loaded again: a conflict in one partition rolled the whole transaction back.
        else this.#consumer.seek(await this.#openLanes([...this.#lanes.values()]));
        return;
      } catch (error) {
        this.#options.onRetry(error);
        await this.#pause(waitMs);
      }
    }
  }

  #markApplied(work: Map<ProjectionLane, ProjectionBatch>): void {
    for (const [lane, { topic, partition, next }] of work) {
      lane.position = next;
      this.#uncommitted.set(partitionKey(lane), { topic, partition, next, metadata: '' });
    }
    this.#commitTimer ??= setTimeout(() => {
      this.#commitTimer = undefined;
      void this.#commit();
    }, COMMIT_EVERY_MS);
    this.#options.onApplied?.([...work.values()]);
  }

  /** Only a gauge of lag: the position that counts is in the store. */
  async #commit(): Promise<void> {
    const commits = [...this.#uncommitted.values()];
    this.#uncommitted.clear();
    if (commits.length === 0) return;
    await this.#consumer.commit(commits).catch((error: unknown) => {
      if (!(error instanceof EventLogError)) this.#options.onRetry(error);
    });
  }

  #settleWaiters(): void {
    for (const waiter of this.#waiters) {
      const isApplied = waiter.positions.every(
        (p) => (this.#lanes.get(partitionKey(p))?.position ?? 0) > p.offset,
      );
      if (!isApplied) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  async #pause(pauseMs: number): Promise<void> {
    await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}

/** When the oldest record of a transaction was appended; now, when there is none. */
function appendedAtOf(work: Map<ProjectionLane, ProjectionBatch>): number {
  const firsts = [...work.values()].map(({ records }) => records[0]?.appendedAt ?? Infinity);
  return Math.min(Date.now(), ...firsts);
}
