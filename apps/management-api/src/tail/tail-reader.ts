import { randomUUID } from 'node:crypto';
import { topics } from '@posthaste/contracts';
import type { EventLog, LogConsumer, PartitionRef, Position, RecordBatch } from '@posthaste/event-log';
import { isAttempt, RecentRecord, RecentRecords } from './recent-records.js';
import type { TailFollower } from './tail-follower.js';

/**
 * Reads the log's deliveries from a place on, once for all who follow, and keeps what it has read of late: each follower
 * goes through that at its own pace, so a slow one costs nothing but its place.
 *
 * Two kinds of it differ in what happens when what is kept has grown large. `live` forgets the oldest and ends the
 * followers that have not had it: those who keep up must not wait. `past` waits for its followers, who read faster than
 * anything new is written, and ends those that take nothing for ten seconds, so that none waits for them for long.
 *
 *   joining -> reading <-> full (past only) -> stopped
 *
 * It reads with a group of its own, which commits nothing and is gone with it.
 */
interface TailReaderOptions {
  kind: 'live' | 'past';
  log: EventLog;
  /** By partition. */
  from: number[];
  /** What it has read has been handed on to those who can take it. */
  onRead?: (reader: TailReader) => void;
  /** It cannot go on; it has stopped. */
  onLost: (reader: TailReader, error: unknown) => void;
  limits: { keptBytes?: number; stalledMs?: number };
}

const KEPT_BYTES = 32 * 1024 * 1024;
const STALLED_MS = 10_000;
/** People look at it. */
const GATHER_MS = 200;
const { deliveries } = topics;

export class TailReader {
  readonly followers = new Set<TailFollower>();
  private readonly kept = new RecentRecords();
  /** By partition, what is read next. */
  private readonly cursor: number[];
  /** By partition, from where on everything that was read is still there. */
  private readonly floor: number[];
  /** Partitions that were sent back, and where they were: what is fetched already may still come. */
  private readonly sentBack = new Map<number, number>();
  private readonly consumer: LogConsumer;
  private full: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(private readonly options: TailReaderOptions) {
    this.cursor = [...options.from];
    this.floor = [...options.from];
    const group = `management-api-tail-${randomUUID()}`;
    this.consumer = options.log.consumer({ group, topics: [deliveries], gatherMs: GATHER_MS });
    const handlers = {
      onAssigned: (partitions: PartitionRef[]) => {
        // A hand-over has ended the pause, if there was one.
        clearTimeout(this.full);
        this.full = undefined;
        return partitions.map(({ topic, partition }) => ({
          topic,
          partition,
          offset: this.nextOf(partition),
        }));
      },
      onRecords: (batch: RecordBatch) => this.read(batch),
      onRevoked: () => undefined,
      onFatal: (error: Error) => this.lose(error),
    };
    this.consumer.run(handlers).catch((error: unknown) => this.lose(error));
  }

  /** True when what comes after the place is there or still to be read. */
  covers({ place }: TailFollower): boolean {
    return this.floor.every((offset, partition) => (place.next[partition] ?? 0) >= offset);
  }

  /** One that is covered begins with what is kept. For another one the reader goes back. */
  add(follower: TailFollower): void {
    this.followers.add(follower);
    follower.reads = this.kept.first;
    if (!this.covers(follower)) {
      follower.reads = this.kept.end;
      this.goBack(follower);
    }
    this.serve(follower);
  }

  remove(follower: TailFollower): void {
    this.followers.delete(follower);
    if (this.options.kind === 'past') this.makeRoom();
  }

  /** True when it has been given all that was read. */
  isCaughtUp({ reads }: TailFollower): boolean {
    return reads === this.kept.end;
  }

  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    clearTimeout(this.full);
    await this.consumer.stop();
  }

  private nextOf(partition: number): number {
    return this.cursor[partition] ?? 0;
  }

  private goBack({ place }: TailFollower): void {
    const back: Position[] = [];
    for (const [partition, at] of this.cursor.entries()) {
      const offset = place.next[partition] ?? 0;
      if (offset >= at) continue;
      this.sentBack.set(partition, at);
      this.cursor[partition] = offset;
      back.push({ topic: deliveries.name, partition, offset });
    }
    this.consumer.seek(back);
  }

  private read({ partition, records, next }: RecordBatch): void {
    if (this.isStopped) return;
    const from = this.nextOf(partition);
    const wasAt = this.sentBack.get(partition);
    this.sentBack.delete(partition);
    const [first] = records;
    if (wasAt !== undefined && (first?.offset ?? next) >= wasAt) {
      // It was on its way when the partition was sent back, or that came in the middle of a hand-over.
      this.consumer.seek([{ topic: deliveries.name, partition, offset: from }]);
      return;
    }
    let last = from - 1;
    for (const record of records) {
      if (record.offset < from || !isAttempt(record)) continue;
      this.kept.add(new RecentRecord(partition, record.offset, record));
      last = record.offset;
    }
    if (next - 1 > last) this.kept.add(new RecentRecord(partition, next - 1, null));
    this.cursor[partition] = Math.max(from, next);
    for (const follower of this.followers) this.serve(follower);
    this.makeRoom();
    this.options.onRead?.(this);
  }

  /** Gives it what it has not had, as far as it can take it. */
  serve(follower: TailFollower): void {
    const onReady = (): void => {
      if (!this.followers.has(follower)) return;
      this.serve(follower);
      if (this.options.kind !== 'past') return;
      this.makeRoom();
      this.options.onRead?.(this);
    };
    while (follower.ready && !follower.isClosed) {
      const record = this.kept.at(follower.reads);
      if (record === undefined) return;
      follower.reads++;
      follower.take(record, onReady);
    }
  }

  private makeRoom(): void {
    const { kind, limits } = this.options;
    const { keptBytes = KEPT_BYTES, stalledMs = STALLED_MS } = limits;
    const needed = Math.min(this.kept.end, ...[...this.followers].map(({ reads }) => reads));
    while (kind === 'past' ? this.kept.first < needed : this.kept.bytes > keptBytes) this.forgetOldest();
    if (kind === 'live') {
      for (const follower of this.followers) if (follower.reads < this.kept.first) this.leaveBehind(follower);
      return;
    }
    if (this.kept.bytes <= keptBytes / 2) this.goOn();
    else if (this.kept.bytes > keptBytes && this.full === undefined && !this.isStopped) {
      this.consumer.pause(this.partitions());
      this.full = setTimeout(() => this.endStalled(stalledMs), stalledMs);
    }
  }

  private forgetOldest(): void {
    const oldest = this.kept.shift();
    if (!oldest) return;
    this.floor[oldest.partition] = Math.max(this.floor[oldest.partition] ?? 0, oldest.offset + 1);
  }

  private goOn(): void {
    if (this.full === undefined) return;
    clearTimeout(this.full);
    this.full = undefined;
    this.consumer.resume(this.partitions());
  }

  private endStalled(stalledMs: number): void {
    for (const follower of this.followers) if (follower.reads === this.kept.first) this.leaveBehind(follower);
    this.full = setTimeout(() => this.endStalled(stalledMs), stalledMs);
    this.makeRoom();
  }

  private leaveBehind(follower: TailFollower): void {
    this.followers.delete(follower);
    follower.end('behind');
  }

  private partitions(): PartitionRef[] {
    return this.cursor.map((_, partition) => ({ topic: deliveries.name, partition }));
  }

  private lose(error: unknown): void {
    if (this.isStopped) return;
    void this.stop().catch(() => undefined);
    this.options.onLost(this, error);
  }
}
