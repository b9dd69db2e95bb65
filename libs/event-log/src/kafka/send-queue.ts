import { partitionKey } from '../partition-key.js';
import type { Message } from 'kafkajs';

/**
 * Records on their way out, in one lane per partition.
 *
 * A lane: empty -> ready (something waits, nothing is under way) -> busy (a shipment of it is under way, more may
 * gather behind it) -> released: ready again, or empty. So of one partition there is never more than one request
 * under way. Lanes are served in the order they became ready.
 */
export interface QueuedMessage {
  message: Message;
  bytes: number;
  /** Nobody waits for it any more: it is dropped instead of sent. */
  readonly isOver: boolean;
}

export interface Lane<Item> {
  topic: string;
  partition: number;
  waiting: Item[];
  isBusy: boolean;
}

/** What goes into one request for one partition. */
export interface Shipment<Item> {
  lane: Lane<Item>;
  items: Item[];
}

export class SendQueue<Item extends QueuedMessage> {
  private readonly lanes = new Map<string, Lane<Item>>();
  private readonly ready = new Set<Lane<Item>>();

  constructor(
    private readonly batchRecords: number,
    private readonly batchBytes: number,
  ) {}

  add(topic: string, partition: number, item: Item): void {
    const key = partitionKey({ topic, partition });
    let lane = this.lanes.get(key);
    if (!lane) {
      lane = { topic, partition, waiting: [], isBusy: false };
      this.lanes.set(key, lane);
    }
    lane.waiting.push(item);
    if (!lane.isBusy) this.ready.add(lane);
  }

  /** Whether `take` would find something. */
  get hasReady(): boolean {
    return this.ready.size > 0;
  }

  /** Whether what is ready would fill a batch. */
  get isFull(): boolean {
    let records = 0;
    let bytes = 0;
    for (const { waiting } of this.ready) {
      for (const item of waiting) {
        bytes += item.bytes;
        if (++records >= this.batchRecords || bytes >= this.batchBytes) return true;
      }
    }
    return false;
  }

  /** A batch of at most the limits, or of one record alone above them; its lanes are busy until released. */
  take(): Shipment<Item>[] {
    const batch: Shipment<Item>[] = [];
    let records = 0;
    let bytes = 0;
    for (const lane of this.ready) {
      const items: Item[] = [];
      let taken = 0;
      for (const item of lane.waiting) {
        if (records >= this.batchRecords || (records > 0 && bytes + item.bytes > this.batchBytes)) break;
        taken++;
        if (item.isOver) continue;
        items.push(item);
        records++;
        bytes += item.bytes;
      }
      lane.waiting.splice(0, taken);
      if (items.length > 0) {
        lane.isBusy = true;
        batch.push({ lane, items });
      }
      if (items.length > 0 || lane.waiting.length === 0) this.ready.delete(lane);
      if (records >= this.batchRecords || bytes >= this.batchBytes) break;
    }
    return batch;
  }

  release(lane: Lane<Item>): void {
    lane.isBusy = false;
    if (lane.waiting.length > 0) this.ready.add(lane);
  }

  /** Deadlines pass in the order of arrival, so what nobody waits for is at the head of its lane. */
  dropOver(): void {
    for (const { waiting } of this.lanes.values()) {
      const alive = waiting.findIndex((item) => !item.isOver);
      waiting.splice(0, alive < 0 ? waiting.length : alive);
    }
  }
}
