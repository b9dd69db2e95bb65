import { EventLogError } from '../errors.js';
import { partitionOf } from '../partitioner.js';
import type { LogProducer, OutgoingRecord, Position } from '../port.js';
import { appendBytes } from '../record-size.js';
import { AppendLane, type PendingAppend } from './append-lane.js';
import type { TopicCatalog } from './topic-catalog.js';

/**
 * Appends through a few lanes, each a connection of its own. A partition always takes the same lane, so what one
 * process appends to a partition is in the log in the order of its calls, acknowledged one by one or not.
 *
 * What waits is bounded twice: in time (each append rejects after `ackTimeoutMs`) and in memory (`maxQueuedBytes`).
 */
export interface ProducerOptions {
  lanes: AppendLane[];
  catalog: TopicCatalog;
  ackTimeoutMs: number;
  maxQueuedBytes: number;
}

export class PostgresProducer implements LogProducer {
  readonly #options: ProducerOptions;
  #queuedBytes = 0;
  #waiting = 0;
  #closed = false;
  #whenIdle: () => void = () => undefined;

  constructor(options: ProducerOptions) {
    this.#options = options;
  }

  async append(records: OutgoingRecord[]): Promise<Position[]> {
    if (this.#closed) throw new EventLogError('log_closed', 'the producer is closed');
    if (records.length === 0) return [];
    const bytes = appendBytes(records);
    if (this.#queuedBytes + bytes > this.#options.maxQueuedBytes) {
      throw new EventLogError('log_queue_full', `${this.#queuedBytes} bytes wait for acknowledgement`);
    }
    this.#queuedBytes += bytes;
    this.#waiting++;
    try {
      if (records.some((record) => !this.#options.catalog.get(record.topic.name)))
        await this.#learnTopics(records);
      return await this.#appendPlaced(records);
    } finally {
      this.#queuedBytes -= bytes;
      if (--this.#waiting === 0) this.#whenIdle();
    }
  }

  async close(timeoutMs = 10_000): Promise<void> {
    this.#closed = true;
    if (this.#waiting > 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
        timer = setTimeout(resolve, timeoutMs);
      });
      clearTimeout(timer);
    }
    await Promise.all(this.#options.lanes.map((lane) => lane.close()));
  }

  async #learnTopics(records: OutgoingRecord[]): Promise<void> {
    const names = [...new Set(records.map((record) => record.topic.name))];
    const found = await this.#options.catalog.find(names);
    const missing = names.filter((name) => !found.some((topic) => topic.name === name));
    if (missing.length > 0)
      throw new EventLogError('log_unavailable', `no topic ${missing.join()} in the log yet`);
  }

  #appendPlaced(records: OutgoingRecord[]): Promise<Position[]> {
    const { catalog, lanes, ackTimeoutMs } = this.#options;
    const positions = new Array<Position>(records.length);
    return new Promise((resolve, reject) => {
      const append: PendingAppend = {
        deadline: performance.now() + ackTimeoutMs,
        unacknowledged: records.length,
        settled: false,
        place: (index, offset) => ((positions[index] as Position).offset = offset),
        resolve: () => resolve(positions),
        reject,
      };
      records.forEach((record, index) => {
        const topic = catalog.get(record.topic.name);
        if (!topic) throw new Error(`topic ${record.topic.name} is not known`);
        const partition = partitionOf(record.key, topic.partitions);
        positions[index] = { topic: topic.name, partition, offset: -1 };
        lanes[partition % lanes.length]?.add({ topic, partition, record, index, append });
      });
    });
  }
}
