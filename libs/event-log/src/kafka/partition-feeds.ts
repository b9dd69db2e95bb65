import type { Batch, Consumer, EachBatchPayload } from 'kafkajs';
import { partitionKey } from '../partition-key.js';
import type { PartitionRef, Position, RecordBatch } from '../port.js';
import { toStoredRecord } from './kafka-record.js';

/**
 * The partitions a member owns and how far each was handed on, which kafkajs does not guard: it fetches ahead, delivers
 * after a pause, after a seek and after a rejoin what it had before them, and starts at the committed offset again.
 *
 * closed (a join has just begun, all is paused) -> open (positions are sought, batches are handed on) -> closed (the
 * partitions are about to be lost). A batch that comes at the wrong time is left: what is not resolved kafkajs fetches
 * again. Nothing is awaited while handing on, for heartbeats go out only between batches, and one slow partition
 * would hold all others.
 */
export interface PartitionFeedsParts {
  consumer: Pick<Consumer, 'pause' | 'resume' | 'seek'>;
  maxBatchRecords: number | undefined;
  onRecords: (batch: RecordBatch) => void;
  /** `onRecords` threw: handed on, yet not taken. Going on would lose these records. */
  onRefused: (error: Error) => void;
}

interface Feed extends PartitionRef {
  /** The next offset to hand on. */
  next: number;
  /** Raised by each seek: what was fetched before it is void. */
  seeks: number;
}

export class PartitionFeeds {
  private feeds = new Map<string, Feed>();
  private readonly pausedByUser = new Set<string>();
  private isOpen = false;

  constructor(private readonly parts: PartitionFeedsParts) {}

  has(ref: PartitionRef): boolean {
    return this.feeds.has(partitionKey(ref));
  }

  /** These are owned from now on, and no others. Called before the first fetch of a generation. */
  own(refs: PartitionRef[]): void {
    this.isOpen = false;
    this.feeds = new Map(refs.map((ref) => [partitionKey(ref), { ...ref, next: 0, seeks: 0 }]));
    this.parts.consumer.pause(byTopic(refs));
  }

  /** Reading begins: at these positions, elsewhere at the oldest record. */
  open(positions: Position[]): void {
    this.isOpen = true;
    this.seek(positions);
    const active = [...this.feeds.values()].filter((feed) => !this.pausedByUser.has(partitionKey(feed)));
    this.parts.consumer.resume(byTopic(active));
  }

  /** Nothing more is handed on. */
  close(): void {
    this.isOpen = false;
  }

  pauseAll(): void {
    this.parts.consumer.pause(byTopic([...this.feeds.values()]));
  }

  pause(refs: PartitionRef[]): void {
    for (const ref of refs) this.pausedByUser.add(partitionKey(ref));
    if (this.isOpen) this.parts.consumer.pause(byTopic(refs));
  }

  resume(refs: PartitionRef[]): void {
    this.forgetPauses(refs);
    if (this.isOpen) this.parts.consumer.resume(byTopic(refs));
  }

  forgetPauses(refs: PartitionRef[]): void {
    for (const ref of refs) this.pausedByUser.delete(partitionKey(ref));
  }

  seek(positions: Position[]): void {
    for (const position of positions) {
      const feed = this.feeds.get(partitionKey(position));
      if (!feed) continue;
      feed.next = position.offset;
      feed.seeks++;
      this.parts.consumer.seek({ ...position, offset: String(position.offset) });
    }
  }

  /** Where reading stands, of those that are not paused on purpose. */
  activePositions(): Position[] {
    const active = [...this.feeds].filter(([key]) => !this.pausedByUser.has(key));
    return active.map(([, { topic, partition, next }]) => ({ topic, partition, offset: next }));
  }

  take({ batch, ...kafka }: Pick<EachBatchPayload, 'batch' | 'resolveOffset' | 'isStale'>): void {
    const key = partitionKey(batch);
    const feed = this.feeds.get(key);
    if (!feed || !this.isOpen || kafka.isStale()) return;
    const { seeks } = feed;
    const count = batch.messages.length;
    const limit = this.parts.maxBatchRecords ?? count;
    const fresh = batch.messages.findIndex((message) => Number(message.offset) >= feed.next);
    for (let from = fresh < 0 ? count : fresh; from < count; from += limit) {
      // The handler of the part before may have paused, sought, or thrown.
      if (this.pausedByUser.has(key) || feed.seeks !== seeks || !this.isOpen) return;
      kafka.resolveOffset(this.handOn(feed, batch, from, from + limit));
    }
    if (fresh < 0) kafka.resolveOffset(batch.lastOffset());
  }

  /** Answers the offset of the last message of the part. */
  private handOn(feed: Feed, batch: Batch, from: number, to: number): string {
    const messages = batch.messages.slice(from, to);
    const last = messages.at(-1)?.offset as string;
    // A batch may end above its last message, where the marks of a transaction are.
    feed.next = Number(to >= batch.messages.length ? batch.lastOffset() : last) + 1;
    const { topic, partition, next } = feed;
    try {
      this.parts.onRecords({ topic, partition, records: messages.map(toStoredRecord), next });
    } catch (error) {
      this.isOpen = false;
      this.parts.onRefused(error as Error);
    }
    return last;
  }
}

function byTopic(refs: PartitionRef[]): { topic: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of refs) topics.set(topic, [...(topics.get(topic) ?? []), partition]);
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}
