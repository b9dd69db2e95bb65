import { partitionKey } from './partition-key.js';
import type { PartitionRef, Position, RecordBatch } from './port.js';

/**
 * Reads a set of partitions from one source, in rounds: a round asks for everything that may have news in one fetch
 * and hands the batches on. Shared by the adapters that have no client of their own (memory, PostgreSQL).
 *
 * States of the loop: idle (no partition may have news) -> fetching (one round in flight) -> idle, or at once the
 * next round while there is more. A failed round is tried again after a pause. Of one partition: active or paused,
 * and `stale` while it may have news. A batch fetched before a pause, seek or loss of its partition is dropped, so
 * that none arrives after the call.
 */
export interface FetchSource {
  /** Records from these positions on; `more` when a limit cut the partition short. No news: no entry needed. */
  fetch(wanted: Position[], limits: FetchLimits): Promise<FetchedBatch[]>;
}

export interface FetchLimits {
  recordsPerPartition: number;
  bytesPerPartition: number;
}

export interface FetchedBatch extends RecordBatch {
  more: boolean;
}

export interface FetchLoopOptions {
  source: FetchSource;
  onRecords(batch: RecordBatch): void;
  /** Reading has got so far, with records or over a gap. Called after their `onRecords`. */
  onPosition?(position: Position): void;
  /** A round failed and will be tried again. */
  onRetry(error: unknown): void;
  /** `onRecords` threw: nobody can say what became of the batch. */
  onFatal(error: Error): void;
  recordsPerPartition?: number;
}

interface Feed extends Position {
  paused: boolean;
  stale: boolean;
  /** Rises with every seek and pause; a round's answer of an older epoch is dropped. */
  epoch: number;
}

const ROUND_BYTES = 4_000_000;
const RECORDS_PER_PARTITION = 500;
const RETRY_MS = 200;

export class FetchLoop {
  readonly #options: FetchLoopOptions;
  readonly #feeds = new Map<string, Feed>();
  #working: Promise<void> | undefined;
  #closed = false;

  constructor(options: FetchLoopOptions) {
    this.#options = options;
  }

  add(positions: Position[]): void {
    for (const { topic, partition, offset } of positions) {
      const epoch = (this.#feeds.get(partitionKey({ topic, partition }))?.epoch ?? 0) + 1;
      this.#feeds.set(partitionKey({ topic, partition }), {
        topic,
        partition,
        offset,
        paused: false,
        stale: true,
        epoch,
      });
    }
    this.#work();
  }

  remove(refs: PartitionRef[]): void {
    for (const ref of refs) this.#feeds.delete(partitionKey(ref));
  }

  pause(refs: PartitionRef[]): void {
    for (const feed of this.#held(refs)) {
      feed.paused = true;
      feed.epoch++;
    }
  }

  resume(refs: PartitionRef[]): void {
    for (const feed of this.#held(refs)) {
      feed.paused = false;
      feed.stale = true;
    }
    this.#work();
  }

  seek(positions: Position[]): void {
    for (const { offset, ...ref } of positions) {
      for (const feed of this.#held([ref])) {
        feed.offset = offset;
        feed.stale = true;
        feed.epoch++;
      }
    }
    this.#work();
  }

  /** Something was appended to the topic, or (no topic) to any. */
  wake(topic?: string): void {
    let found = false;
    for (const feed of this.#feeds.values()) {
      if (topic === undefined || feed.topic === topic) {
        feed.stale = true;
        found ||= !feed.paused;
      }
    }
    if (found) this.#work();
  }

  /** Where reading goes on, of the partitions that are not paused. */
  activePositions(): Position[] {
    const active = [...this.#feeds.values()].filter((feed) => !feed.paused);
    return active.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
  }

  /** No batch is handed on after this call; resolves when the round in flight has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#feeds.clear();
    await this.#working;
  }

  #held(refs: PartitionRef[]): Feed[] {
    return refs.map((ref) => this.#feeds.get(partitionKey(ref))).filter((feed) => feed !== undefined);
  }

  #work(): void {
    this.#working ??= this.#rounds().finally(() => {
      this.#working = undefined;
    });
  }

  async #rounds(): Promise<void> {
    // Callers change several partitions in a row: let them finish, then read all in one round.
    await Promise.resolve();
    while (!this.#closed) {
      const wanted = [...this.#feeds.values()].filter((feed) => feed.stale && !feed.paused);
      if (wanted.length === 0) return;
      const epochs = new Map(wanted.map((feed) => [feed, feed.epoch]));
      // Before the fetch: news that arrives while it runs must lead to another.
      for (const feed of wanted) feed.stale = false;
      try {
        const limits = {
          recordsPerPartition: this.#options.recordsPerPartition ?? RECORDS_PER_PARTITION,
          bytesPerPartition: Math.ceil(ROUND_BYTES / wanted.length),
        };
        this.#handOn(await this.#options.source.fetch(wanted, limits), epochs);
      } catch (error) {
        for (const feed of wanted) feed.stale = true;
        if (this.#closed) return;
        this.#options.onRetry(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #handOn(batches: FetchedBatch[], epochs: Map<Feed, number>): void {
    for (const { more, ...batch } of batches) {
      const feed = this.#feeds.get(partitionKey(batch));
      if (!feed) continue;
      if (epochs.get(feed) !== feed.epoch) {
        feed.stale = true;
        continue;
      }
      feed.offset = batch.next;
      feed.stale ||= more;
      try {
        if (batch.records.length > 0) this.#options.onRecords(batch);
        this.#options.onPosition?.({ topic: batch.topic, partition: batch.partition, offset: batch.next });
      } catch (error) {
        this.#closed = true;
        this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
  }
}
