import type { Message, ProducerBatch, RecordMetadata } from 'kafkajs';
import { EventLogError } from '../errors.js';
import { partitionKey } from '../partition-key.js';
import { partitionOf } from '../partitioner.js';
import type { EventLogHooks, LogProducer, OutgoingRecord, Position } from '../port.js';
import { appendBytes, recordBytes } from '../record-size.js';
import type { KafkaTuning } from './kafka-client.js';
import { type QueuedMessage, SendQueue, type Shipment } from './send-queue.js';

/**
 * Appends to Kafka in batches, and believes only what the response says.
 *
 * - Never idempotent: with it kafkajs loses acknowledged records after a lost response, in every run measured. Without
 *   it a record may be in the log twice, and readers drop repeats by id.
 * - kafkajs resolves `sendBatch` without having sent a partition whose leader moved to a broker that had already
 *   answered (its issue 1303). So each partition must be found in the response, or it is sent again.
 * - Of one partition there is never more than one request under way: a retry of the first would land after the second.
 * - What was not stored is sent again partition by partition: one that is refused neither holds up the others nor has
 *   them written once more with each try.
 * - A record that finds nothing under way leaves at once. Else it leaves with the next batch: when the request under
 *   way is answered, when the batch is full, or after a while that grows with the load: `lingerMs` for each record
 *   of the batch before, up to `maxLingerMs`. So a quiet producer hardly waits, and a busy one sends few requests.
 *
 * A record: waiting in its partition's lane -> in flight (maybe several times) -> acknowledged. Its append resolves
 * with the last acknowledgement, or is rejected at its deadline; then what waits is dropped and what is in flight is
 * not sent again, but may still arrive.
 */
export interface BatchSender {
  sendBatch: (batch: ProducerBatch) => Promise<RecordMetadata[]>;
}

export interface KafkaProducerParts {
  sender: BatchSender;
  /** Rejects while it is not known. */
  partitionCount: (topic: string) => Promise<number>;
  tuning: KafkaTuning;
  hooks: EventLogHooks;
}

interface Append {
  positions: Position[];
  /** Records not acknowledged yet. */
  left: number;
  settled: boolean;
  lastError: unknown;
  settle: (error?: EventLogError) => void;
}

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class KafkaProducer implements LogProducer {
  private readonly counts = new Map<string, number>();
  private readonly queue: SendQueue<Item>;
  private readonly appends = new Set<Append>();
  private queuedBytes = 0;
  private inFlight = 0;
  private isFlushing = false;
  private linger: NodeJS.Timeout | undefined;
  private lastBatchRecords = 1;
  private closed = false;
  private onIdle: (() => void) | undefined;

  constructor(private readonly parts: KafkaProducerParts) {
    this.queue = new SendQueue(parts.tuning.batchRecords, parts.tuning.batchBytes);
  }

  async append(records: OutgoingRecord[]): Promise<Position[]> {
    const { tuning } = this.parts;
    if (this.closed) throw new EventLogError('log_closed', 'the producer is closed');
    if (records.length === 0) return [];
    const bytes = appendBytes(records);
    if (this.queuedBytes + bytes > tuning.maxQueuedBytes) {
      const message = `${this.queuedBytes} bytes wait for their acknowledgement`;
      throw new EventLogError('log_queue_full', message);
    }
    this.queuedBytes += bytes;
    return new Promise((resolve, reject) => {
      const append = this.track(records.length, bytes, resolve, reject);
      const unknown = new Set(records.map((r) => r.topic.name).filter((name) => !this.counts.has(name)));
      if (unknown.size === 0) this.enqueue(append, records);
      else void this.learn(append, unknown).then(() => this.enqueue(append, records));
    });
  }

  async close(timeoutMs = 10_000): Promise<void> {
    this.closed = true;
    if (this.appends.size > 0) {
      const idle = new Promise<void>((resolve) => (this.onIdle = resolve));
      const timer = setTimeout(() => this.onIdle?.(), timeoutMs);
      await idle;
      clearTimeout(timer);
    }
    for (const append of this.appends)
      append.settle(new EventLogError('log_closed', 'closed while appending'));
  }

  private track(
    records: number,
    bytes: number,
    resolve: (positions: Position[]) => void,
    reject: (error: EventLogError) => void,
  ): Append {
    const deadline = setTimeout(() => {
      const message = `not acknowledged within ${this.parts.tuning.ackTimeoutMs} ms`;
      append.settle(new EventLogError('log_unavailable', message, { cause: append.lastError }));
      this.queue.dropOver();
    }, this.parts.tuning.ackTimeoutMs);
    const append: Append = {
      positions: new Array<Position>(records),
      left: records,
      settled: false,
      lastError: undefined,
      settle: (error) => {
        if (append.settled) return;
        append.settled = true;
        clearTimeout(deadline);
        this.queuedBytes -= bytes;
        this.appends.delete(append);
        if (error) reject(error);
        else resolve(append.positions);
        if (this.appends.size === 0) this.onIdle?.();
      },
    };
    this.appends.add(append);
    return append;
  }

  /** Partition counts never change while a process runs: adding partitions would break the order of keys. */
  private async learn(append: Append, topics: Set<string>): Promise<void> {
    for (const topic of topics) {
      for (let waitMs = RETRY_MIN_MS; !append.settled && !this.counts.has(topic); waitMs *= 2) {
        try {
          this.counts.set(topic, await this.parts.partitionCount(topic));
        } catch (error) {
          append.lastError = error;
          await sleep(Math.min(waitMs, RETRY_MAX_MS));
        }
      }
    }
  }

  private enqueue(append: Append, records: OutgoingRecord[]): void {
    if (append.settled) return;
    records.forEach((record, index) => {
      const topic = record.topic.name;
      const partition = partitionOf(record.key, this.counts.get(topic) as number);
      this.queue.add(topic, partition, new Item(append, index, record, partition));
    });
    this.flushSoon();
  }

  /** After the callbacks of this turn of the event loop, so that all they append shares the batch. */
  private flushSoon(): void {
    if (this.isFlushing) return;
    this.isFlushing = true;
    setImmediate(() => {
      this.isFlushing = false;
      this.flush(false);
    });
  }

  private flush(hasLingered: boolean): void {
    const { sendsInFlight, lingerMs, maxLingerMs } = this.parts.tuning;
    let isDue = hasLingered;
    while (this.inFlight < sendsInFlight && (this.inFlight === 0 || isDue || this.queue.isFull)) {
      isDue = false;
      const batch = this.queue.take();
      if (batch.length === 0) break;
      this.lastBatchRecords = batch.reduce((sum, { items }) => sum + items.length, 0);
      this.inFlight++;
      void this.ship(batch);
    }
    if (this.queue.hasReady && this.inFlight < sendsInFlight) {
      this.linger ??= setTimeout(
        () => {
          this.linger = undefined;
          this.flush(true);
        },
        Math.min(lingerMs * this.lastBatchRecords, maxLingerMs),
      );
    } else {
      clearTimeout(this.linger);
      this.linger = undefined;
    }
  }

  private async ship(batch: Shipment<Item>[]): Promise<void> {
    const { missing, error } = await this.send(batch);
    this.inFlight--;
    for (const { lane } of batch.filter((shipment) => !missing.includes(shipment))) this.queue.release(lane);
    if (missing.length > 0) {
      const partitions = missing.map(({ lane }) => partitionKey(lane));
      const what = error === undefined ? 'a response left partitions out' : 'a batch was refused';
      const details = { partitions, ...(error === undefined ? {} : { error: String(error) }) };
      this.parts.hooks.onWarning?.(`${what}; sending them again`, details);
    }
    for (const shipment of missing) void this.sendAgain(shipment);
    this.flushSoon();
  }

  /** Until it is stored, or nobody waits for it. Not counted as in flight: the healthy partitions keep their room. */
  private async sendAgain(shipment: Shipment<Item>): Promise<void> {
    for (
      let waitMs = RETRY_MIN_MS, isStored = false;
      !isStored;
      waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)
    ) {
      await sleep(waitMs);
      shipment.items = shipment.items.filter((item) => !item.isOver);
      isStored = shipment.items.length === 0 || (await this.send([shipment])).missing.length === 0;
    }
    this.queue.release(shipment.lane);
    this.flushSoon();
  }

  /** Settles what the response covers, and answers the rest. */
  private async send(batch: Shipment<Item>[]): Promise<{ missing: Shipment<Item>[]; error?: Error }> {
    const topics = new Map<string, Message[]>();
    for (const { lane, items } of batch) {
      const messages = topics.get(lane.topic) ?? [];
      for (const item of items) messages.push(item.message);
      topics.set(lane.topic, messages);
    }
    const topicMessages = [...topics].map(([topic, messages]) => ({ topic, messages }));
    try {
      const response = await this.parts.sender.sendBatch({ acks: -1, timeout: 5_000, topicMessages });
      const offsets = new Map<string, number>();
      for (const part of response) {
        // A partition may come twice, when its leader moved: the last one is where the records are.
        const isStored = part.errorCode === 0 && part.baseOffset !== undefined;
        if (isStored) offsets.set(`${part.topicName}/${part.partition}`, Number(part.baseOffset));
      }
      return { missing: batch.filter((shipment) => !acknowledge(shipment, offsets)) };
    } catch (error) {
      for (const { items } of batch) for (const item of items) item.append.lastError = error;
      return { missing: batch, error: error as Error };
    }
  }
}

/** One record of an append, with its place among the append's positions. */
class Item implements QueuedMessage {
  readonly message: Message;
  readonly bytes: number;

  constructor(
    readonly append: Append,
    readonly index: number,
    record: OutgoingRecord,
    partition: number,
  ) {
    this.message = toMessage(record, partition);
    this.bytes = recordBytes(record);
  }

  get isOver(): boolean {
    return this.append.settled;
  }
}

function acknowledge({ lane, items }: Shipment<Item>, offsets: Map<string, number>): boolean {
  const base = offsets.get(partitionKey(lane));
  if (base === undefined) return false;
  items.forEach(({ append, index }, i) => {
    append.positions[index] = { topic: lane.topic, partition: lane.partition, offset: base + i };
    if (--append.left === 0) append.settle();
  });
  return true;
}

/** At most two headers: each costs throughput, a dozen more than half of it. */
function toMessage(record: OutgoingRecord, partition: number): Message {
  const message: Message = { key: record.key, value: record.value, partition };
  if (record.meta !== undefined || record.trace !== undefined) {
    message.headers = {
      ...(record.meta === undefined ? {} : { meta: record.meta }),
      ...(record.trace === undefined ? {} : { trace: record.trace }),
    };
  }
  return message;
}
