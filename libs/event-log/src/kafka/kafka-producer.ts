import type { Message, ProducerBatch, RecordMetadata } from 'kafkajs';
import { EventLogError } from '../errors.js';
import { partitionOf } from '../partitioner.js';
import type { EventLogHooks, LogProducer, OutgoingRecord, Position } from '../port.js';
import { appendBytes, recordBytes } from '../record-size.js';
import type { KafkaTuning } from './kafka-client.js';

/**
 * Appends to Kafka in batches, and believes only what the response says.
 *
 * - Never idempotent: with it kafkajs loses acknowledged records after a lost response, in every run measured. Without
 *   it a record may be in the log twice, and readers drop repeats by id.
 * - kafkajs resolves `sendBatch` without having sent a partition whose leader moved to a broker that had already
 *   answered (its issue 1303). So each partition must be found in the response, or it is sent again.
 * - Of one partition there is never more than one request under way: a retry of the first would land after the second.
 * - No linger: a batch leaves when a request may be made, and takes all that gathered meanwhile.
 *
 * A record: waiting in its partition's lane -> in flight (maybe several times) -> acknowledged. Its append resolves
 * with the last acknowledgement, or is rejected at its deadline; then what waits is dropped and what is in flight is
 * not sent again, but may still arrive.
 */
export interface BatchSender {
  sendBatch(batch: ProducerBatch): Promise<RecordMetadata[]>;
}

export interface KafkaProducerParts {
  sender: BatchSender;
  /** Rejects while it is not known. */
  partitionCount(topic: string): Promise<number>;
  tuning: KafkaTuning;
  hooks: EventLogHooks;
}

interface Append {
  positions: Position[];
  /** Records not acknowledged yet. */
  left: number;
  settled: boolean;
  lastError: unknown;
  settle(error?: EventLogError): void;
}

interface Item {
  append: Append;
  index: number;
  message: Message;
  bytes: number;
}

interface Lane {
  topic: string;
  partition: number;
  waiting: Item[];
  busy: boolean;
}

interface Shipment {
  lane: Lane;
  items: Item[];
}

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class KafkaProducer implements LogProducer {
  private readonly counts = new Map<string, number>();
  private readonly lanes = new Map<string, Lane>();
  /** Lanes with something waiting and nothing in flight, the longest ready first. */
  private readonly ready = new Set<Lane>();
  private readonly appends = new Set<Append>();
  private queuedBytes = 0;
  private inFlight = 0;
  private flushScheduled = false;
  private closed = false;
  private onIdle: (() => void) | undefined;

  constructor(private readonly parts: KafkaProducerParts) {}

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
      this.dropSettled();
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
      const lane = this.laneOf(topic, partition);
      lane.waiting.push({
        append,
        index,
        message: toMessage(record, partition),
        bytes: recordBytes(record),
      });
      if (!lane.busy) this.ready.add(lane);
    });
    this.scheduleFlush();
  }

  /** Deadlines pass in the order of arrival, so what nobody waits for is at the head of its lane. */
  private dropSettled(): void {
    for (const { waiting } of this.lanes.values()) {
      while (waiting[0]?.append.settled) waiting.shift();
    }
  }

  private laneOf(topic: string, partition: number): Lane {
    const key = `${topic}/${partition}`;
    let lane = this.lanes.get(key);
    if (!lane) {
      lane = { topic, partition, waiting: [], busy: false };
      this.lanes.set(key, lane);
    }
    return lane;
  }

  /** After the callbacks of this turn of the event loop, so that all they append shares the batch. */
  private scheduleFlush(): void {
    if (this.flushScheduled) return;
    this.flushScheduled = true;
    setImmediate(() => {
      this.flushScheduled = false;
      while (this.inFlight < this.parts.tuning.sendsInFlight) {
        const batch = this.takeBatch();
        if (batch.length === 0) return;
        this.inFlight++;
        void this.ship(batch);
      }
    });
  }

  private takeBatch(): Shipment[] {
    const { batchRecords, batchBytes } = this.parts.tuning;
    const batch: Shipment[] = [];
    let records = 0;
    let bytes = 0;
    for (const lane of this.ready) {
      let taken = 0;
      const items: Item[] = [];
      for (const item of lane.waiting) {
        const isFull = records >= batchRecords || (records > 0 && bytes + item.bytes > batchBytes);
        if (isFull) break;
        taken++;
        if (item.append.settled) continue;
        items.push(item);
        records++;
        bytes += item.bytes;
      }
      lane.waiting.splice(0, taken);
      if (items.length > 0) {
        lane.busy = true;
        batch.push({ lane, items });
      }
      if (items.length > 0 || lane.waiting.length === 0) this.ready.delete(lane);
      if (records >= batchRecords || bytes >= batchBytes) break;
    }
    return batch;
  }

  private async ship(batch: Shipment[]): Promise<void> {
    let todo = batch;
    for (let waitMs = RETRY_MIN_MS; todo.length > 0; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      todo = await this.trySend(todo);
      if (todo.length > 0) await sleep(waitMs);
      // Nobody waits for what is past its deadline.
      for (const shipment of todo) shipment.items = shipment.items.filter((item) => !item.append.settled);
      todo = todo.filter((shipment) => shipment.items.length > 0);
    }
    this.inFlight--;
    for (const { lane } of batch) {
      lane.busy = false;
      if (lane.waiting.length > 0) this.ready.add(lane);
    }
    this.scheduleFlush();
  }

  /** Sends, settles what the response covers, and answers the rest. */
  private async trySend(batch: Shipment[]): Promise<Shipment[]> {
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
      const missing = batch.filter((shipment) => !acknowledge(shipment, offsets));
      if (missing.length > 0) {
        const partitions = missing.map(({ lane }) => `${lane.topic}/${lane.partition}`);
        this.parts.hooks.onWarning?.('a response left partitions out; sending them again', { partitions });
      }
      return missing;
    } catch (error) {
      for (const { items } of batch) for (const item of items) item.append.lastError = error;
      this.parts.hooks.onWarning?.('a batch was refused; sending it again', { error: String(error) });
      return batch;
    }
  }
}

function acknowledge({ lane, items }: Shipment, offsets: Map<string, number>): boolean {
  const base = offsets.get(`${lane.topic}/${lane.partition}`);
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
