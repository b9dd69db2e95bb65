import { type AcceptedMessage, type DueDelivery, topics } from '@posthaste/contracts';
import {
  type AssignedPartition,
  type EventLog,
  EventLogError,
  type LogConsumer,
  partitionKey,
  type PartitionRef,
  type Position,
  type RecordBatch,
  type StoredRecord,
} from '@posthaste/event-log';
import { type Job, jobsOf, sentRoutes } from './job.js';
import { type Held, isAbove, OwnedPartition, PAUSE_AT, RESUME_AT } from './owned-partition.js';

/**
 * Takes records from the partitions this process owns, hands out their jobs, and commits what is done.
 *
 * Promised: a record is committed only when all its routes are done; what is done above the low watermark is in the
 * commit's metadata and not handed out again after a restart; memory is bounded, per partition by its window and per
 * process by a budget of payload bytes and of routes. A partition that moves to another member waits a moment for
 * what is in flight, where the log waits for it too, so that healthy receivers get nothing twice. Not promised: that a
 * record is handed out once. What is still in flight then, or was committed too late, is read again by the next owner.
 */
export interface IntakeOptions {
  log: EventLog;
  group: string;
  /** How long a partition that goes to another member waits for what is in flight; below the 2 s the log allows. */
  handOverMs: number;
  onJobs(jobs: Job[]): void;
  /** Partitions were lost: whatever waits and came from them is to be forgotten. */
  onLost(partitions: number[]): void;
  onUnreadable(record: PartitionRef & { offset: number }, error: unknown): void;
  onCommitFailed(error: unknown): void;
  onFatal(error: Error): void;
}

/** With a pause at 80 % of 2,000 records, one more batch must fit. */
const BATCH_RECORDS = 400;
/** After a kill, what is done and not committed is sent again; a commit costs less than a delivery. */
const COMMIT_EVERY_MS = 250;
const COMMIT_EVERY_RECORDS = 1_000;

export class Intake {
  private readonly partitions = new Map<string, OwnedPartition>();
  private readonly held: Held = { bytes: 0, routes: 0 };
  private readonly consumer: LogConsumer;
  private readonly timer: NodeJS.Timeout;
  private overBudget = false;
  private isStopping = false;
  private committing: Promise<void> | undefined;

  constructor(private readonly options: IntakeOptions) {
    this.consumer = options.log.consumer({
      group: options.group,
      topics: [topics.messages, topics.due],
      maxBatchRecords: BATCH_RECORDS,
    });
    this.timer = setInterval(() => void this.commit(), COMMIT_EVERY_MS);
  }

  /** Resolves when the group was joined. */
  start(): Promise<void> {
    return this.consumer.run({
      onAssigned: (assigned) => this.onAssigned(assigned),
      onRecords: (batch) => this.onRecords(batch),
      onRevoked: (refs) => this.onRevoked(refs),
      onFatal: (error) => this.options.onFatal(error),
    });
  }

  /** Takes nothing more; what is in work may still finish and be committed. */
  pause(): void {
    this.isStopping = true;
    this.consumer.pause([...this.partitions.values()]);
  }

  /** Commits what is done and leaves the group. */
  async stop(): Promise<void> {
    this.isStopping = true;
    clearInterval(this.timer);
    await this.committing;
    await this.consumer.stop();
  }

  /** For gauges: records and bytes held, and how long the slowest partition's low watermark has stood still. */
  state(now: number): { records: number; bytes: number; routes: number; watermarkAgeMs: number } {
    let records = 0;
    let watermarkAgeMs = 0;
    for (const { window, movedAt } of this.partitions.values()) {
      records += window.records;
      if (window.records > 0) watermarkAgeMs = Math.max(watermarkAgeMs, now - movedAt);
    }
    return { records, ...this.held, watermarkAgeMs };
  }

  private onAssigned(assigned: AssignedPartition[]): Position[] {
    const goingOn: Position[] = [];
    for (const ref of assigned) {
      const held = this.partitions.get(partitionKey(ref));
      if (held) {
        goingOn.push({ topic: ref.topic, partition: ref.partition, offset: held.readAt });
        if (held.isPaused) this.consumer.pause([held]);
        continue;
      }
      this.partitions.set(
        partitionKey(ref),
        new OwnedPartition(ref, this.held, (partition) => this.onDone(partition), Date.now()),
      );
    }
    return goingOn;
  }

  private onRecords(batch: RecordBatch): void {
    const partition = this.partitions.get(partitionKey(batch));
    if (!partition || this.isStopping) return;
    const jobs: Job[] = [];
    const wasEmpty = partition.window.records === 0;
    const now = Date.now();
    for (const record of batch.records) jobs.push(...this.takeRecord(partition, record, now));
    if (wasEmpty) partition.movedAt = now;
    partition.readAt = batch.next;
    this.options.onJobs(jobs);
    this.regulate(partition);
  }

  private takeRecord(partition: OwnedPartition, record: StoredRecord, now: number): Job[] {
    const { offset, trace } = record;
    if (partition.window.has(offset)) {
      partition.window.add(offset, 0);
      return [];
    }
    let item: AcceptedMessage | DueDelivery;
    try {
      item = (partition.topic === topics.due.name ? topics.due : topics.messages).decode(record);
    } catch (error) {
      // It will never be readable: kept in the window it would hold up every commit behind it.
      partition.take(offset, 0, 0);
      this.options.onUnreadable({ topic: partition.topic, partition: partition.partition, offset }, error);
      return [];
    }
    const routes = sentRoutes(item.meta);
    for (const { endpoint } of routes) partition.sees(endpoint, now);
    const taken = partition.take(offset, record.value.length, routes.length);
    return taken === null ? [] : jobsOf(item, routes, trace, taken);
  }

  private async onRevoked(refs: PartitionRef[]): Promise<void> {
    const leaving = refs.flatMap((ref) => this.partitions.get(partitionKey(ref)) ?? []);
    for (const partition of leaving) this.partitions.delete(partitionKey(partition));
    // Stopping has waited already.
    const waitMs = this.isStopping ? 0 : this.options.handOverMs;
    const quiet = Promise.all(leaving.map((partition) => partition.leave(waitMs)));
    this.options.onLost(leaving.map(({ partition }) => partition));
    if (waitMs > 0) await quiet;
    for (const partition of leaving) partition.lose();
    this.relax();
    await this.committing;
    await this.commitThese(leaving);
  }

  private onDone(partition: OwnedPartition): void {
    this.relax();
    if (partition.isPaused) this.regulate(partition);
    if (partition.uncommitted >= COMMIT_EVERY_RECORDS) void this.commit();
  }

  private regulate(partition: OwnedPartition): void {
    if (this.isStopping || partition.isLeaving) return;
    if (isAbove(PAUSE_AT, this.held)) this.overBudget = true;
    if (!partition.isPaused && (partition.isFull || this.overBudget)) {
      partition.isPaused = true;
      this.consumer.pause([partition]);
    } else if (partition.isPaused && partition.isHalfEmpty && !this.overBudget) {
      partition.isPaused = false;
      this.consumer.resume([partition]);
    }
  }

  /** Lets all partitions flow again once the budget of the process is half free. */
  private relax(): void {
    if (!this.overBudget || isAbove(RESUME_AT, this.held)) return;
    this.overBudget = false;
    for (const partition of this.partitions.values()) this.regulate(partition);
  }

  private async commit(): Promise<void> {
    if (this.committing) return;
    this.committing = this.commitThese([...this.partitions.values()]).finally(
      () => (this.committing = undefined),
    );
    await this.committing;
  }

  private async commitThese(owned: OwnedPartition[]): Promise<void> {
    const partitions = owned.filter((partition) => partition.uncommitted > 0);
    if (partitions.length === 0) return;
    const counted = partitions.map((partition) => partition.uncommitted);
    try {
      await this.consumer.commit(partitions.map((partition) => partition.commit()));
      partitions.forEach((partition, i) => (partition.uncommitted -= counted[i] ?? 0));
    } catch (error) {
      // Its next owner starts from the commit before: repeats, no loss.
      const isLost = error instanceof EventLogError && error.code === 'ownership_lost';
      if (!isLost) this.options.onCommitFailed(error);
    }
  }
}
