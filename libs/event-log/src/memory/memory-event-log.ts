import { EventLogError } from '../errors.js';
import { follow } from '../follow.js';
import {
  type ConsumerOptions,
  EventLog,
  type EventLogHooks,
  type LogAdmin,
  type LogConsumer,
  type LogProducer,
  type LogReader,
  type OutgoingRecord,
  type Position,
  type TopicLayout,
} from '../port.js';
import { appendBytes } from '../record-size.js';
import { MemoryBroker } from './memory-broker.js';
import { MemoryConsumer, memorySource } from './memory-consumer.js';

/**
 * The log in memory, for tests: the port's whole promise but durability, and the broker's bad days on demand
 * (see MemoryBroker). Several logs on one broker behave as several processes on one cluster.
 */
export interface MemoryEventLogOptions {
  broker?: MemoryBroker;
  hooks?: EventLogHooks;
  ackTimeoutMs?: number;
  maxQueuedBytes?: number;
  stallTimeoutMs?: number;
}

export class MemoryEventLog extends EventLog {
  readonly broker: MemoryBroker;
  readonly producer: LogProducer;
  readonly reader: LogReader;
  readonly admin: LogAdmin;
  readonly #options: MemoryEventLogOptions;

  constructor(options: MemoryEventLogOptions = {}) {
    super();
    this.#options = options;
    this.broker = options.broker ?? new MemoryBroker();
    this.producer = new MemoryProducer(this.broker, options);
    this.reader = { follow: (topic, onRecord) => this.#follow(topic, onRecord) };
    this.admin = memoryAdmin(this.broker);
  }

  consumer(options: ConsumerOptions): LogConsumer {
    const { hooks = {}, stallTimeoutMs = 60_000 } = this.#options;
    return new MemoryConsumer(this.broker, options, hooks, stallTimeoutMs);
  }

  async close(): Promise<void> {
    await this.producer.close(0);
  }

  async #follow(...[topic, onRecord]: Parameters<LogReader['follow']>): ReturnType<LogReader['follow']> {
    return follow({
      ends: await this.admin.endOffsets(topic),
      source: memorySource(this.broker),
      subscribe: (loop) => this.broker.subscribe((name) => loop.wake(name)),
      onRecord,
      hooks: this.#options.hooks ?? {},
    });
  }
}

class MemoryProducer implements LogProducer {
  readonly #broker: MemoryBroker;
  readonly #ackTimeoutMs: number;
  readonly #maxQueuedBytes: number;
  readonly #waiting = new Set<Promise<unknown>>();
  #queuedBytes = 0;
  #closed = false;
  /** Appends go in one after the other, as they came. */
  #turn: Promise<void> = Promise.resolve();

  constructor(broker: MemoryBroker, options: MemoryEventLogOptions) {
    this.#broker = broker;
    this.#ackTimeoutMs = options.ackTimeoutMs ?? 10_000;
    this.#maxQueuedBytes = options.maxQueuedBytes ?? 64_000_000;
  }

  async append(records: OutgoingRecord[]): Promise<Position[]> {
    if (this.#closed) throw new EventLogError('log_closed', 'the producer is closed');
    const bytes = appendBytes(records);
    if (this.#queuedBytes + bytes > this.#maxQueuedBytes) {
      throw new EventLogError('log_queue_full', `${this.#queuedBytes} bytes wait for acknowledgement`);
    }
    this.#queuedBytes += bytes;
    const appended = this.#appendInTurn(records);
    this.#waiting.add(appended);
    try {
      return await appended;
    } finally {
      this.#queuedBytes -= bytes;
      this.#waiting.delete(appended);
    }
  }

  async close(timeoutMs = 10_000): Promise<void> {
    this.#closed = true;
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)));
    await Promise.race([Promise.allSettled(this.#waiting), over]);
    clearTimeout(timer);
  }

  async #appendInTurn(records: OutgoingRecord[]): Promise<Position[]> {
    let expired = false;
    let timer: NodeJS.Timeout | undefined;
    const expiry = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        expired = true;
        reject(new EventLogError('log_unavailable', `not acknowledged within ${this.#ackTimeoutMs} ms`));
      }, this.#ackTimeoutMs);
    });
    const turn = this.#turn.then(async () => {
      await this.#broker.answering();
      return expired ? undefined : this.#broker.append(records);
    });
    this.#turn = turn.then(
      () => undefined,
      () => undefined,
    );
    try {
      // A lost acknowledgement leaves only the expiry to settle the race.
      return await Promise.race([turn.then((positions) => positions ?? expiry), expiry]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function memoryAdmin(broker: MemoryBroker): LogAdmin {
  return {
    ensureTopics: async (topics: TopicLayout[], scale) => {
      for (const topic of topics) broker.ensureTopic(topic, scale);
    },
    endOffsets: async (topic) => broker.positions(topic.name, 'next'),
    startOffsets: async (topic) => broker.positions(topic.name, 'start'),
    lag: async (group, topics) =>
      topics.flatMap(({ name }) => {
        const starts = broker.positions(name, 'start');
        return broker.positions(name, 'next').map(({ offset, ...ref }) => {
          const from = broker.committed(group, ref)?.next ?? starts[ref.partition]?.offset ?? 0;
          return { ...ref, lag: Math.max(0, offset - from) };
        });
      }),
  };
}
