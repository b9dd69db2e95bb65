import pg from 'pg';
import { EventLogError } from '../errors.js';
import { recordBytes } from '../record-size.js';
import { appendRecords, type PlacedRecord } from './append-records.js';
import type { Connection } from './connection.js';

/**
 * One connection's queue of records. A batch is in flight or none is: while it is, more records gather and are the
 * next batch; a record that finds the lane idle goes at once. There is no timer that waits for company.
 *
 * A batch whose fate is unknown (connection lost) is sent again before any other, which keeps the order and may leave
 * its records in the log twice. A batch the database refuses for what is in it is sent again record by record, so
 * that the one bad record fails alone.
 */
export interface PendingAppend {
  /** By performance.now(). */
  deadline: number;
  unacknowledged: number;
  settled: boolean;
  place(index: number, offset: number): void;
  resolve(): void;
  reject(error: Error): void;
}

export interface QueuedRecord extends PlacedRecord {
  /** Its place in its append. */
  index: number;
  append: PendingAppend;
}

const BATCH_RECORDS = 500;
const BATCH_BYTES = 1_000_000;
/** Growing, because each try may leave the batch in the log once more. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;
const SWEEP_MS = 100;
/** SQLSTATE classes that say something of the server, not of the records: worth another try. */
const SERVER_TROUBLE = /^(08|25|40|53|55|57|58|XX)/;

export class AppendLane {
  readonly #connection: Connection;
  readonly #onRetry: (error: unknown) => void;
  #queue: QueuedRecord[] = [];
  #inFlight: QueuedRecord[] = [];
  #working = false;
  #closed = false;
  /** Records still to be sent one by one, after a refused batch. */
  #alone = 0;
  #pauseMs = RETRY_MIN_MS;

  constructor(connection: Connection, onRetry: (error: unknown) => void) {
    this.#connection = connection;
    this.#onRetry = onRetry;
  }

  add(record: QueuedRecord): void {
    this.#queue.push(record);
    if (this.#working) return;
    this.#working = true;
    // The rest of the same append, and of others made in this turn of the event loop, are in the first batch.
    queueMicrotask(() => void this.#work());
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { append } of [...this.#inFlight, ...this.#queue]) {
      settle(append, new EventLogError('log_closed', 'the log is closed'));
    }
    this.#queue = [];
    await this.#connection.close();
  }

  async #work(): Promise<void> {
    const sweeper = setInterval(() => this.#rejectOverdue(), SWEEP_MS);
    while (this.#queue.length > 0) {
      const batch = (this.#inFlight = this.#takeBatch());
      try {
        const timeoutMs = Math.max(...batch.map((record) => record.append.deadline)) - performance.now();
        const offsets = await appendRecords(this.#connection, batch, timeoutMs);
        this.#pauseMs = RETRY_MIN_MS;
        batch.forEach(({ append, index }, i) => acknowledge(append, index, offsets[i] as number));
      } catch (error) {
        await this.#recover(batch, error);
      }
    }
    this.#inFlight = [];
    this.#working = false;
    clearInterval(sweeper);
  }

  #takeBatch(): QueuedRecord[] {
    const limit = this.#alone > 0 ? 1 : BATCH_RECORDS;
    this.#alone = Math.max(0, this.#alone - 1);
    let bytes = 0;
    let count = 0;
    while (count < limit && count < this.#queue.length && bytes < BATCH_BYTES) {
      bytes += recordBytes((this.#queue[count] as QueuedRecord).record);
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #recover(batch: QueuedRecord[], error: unknown): Promise<void> {
    if (this.#closed) return;
    this.#onRetry(error);
    if (error instanceof pg.DatabaseError && !SERVER_TROUBLE.test(error.code ?? '')) {
      if (batch.length === 1) {
        const refusal = new EventLogError('log_unavailable', 'PostgreSQL refused the record', {
          cause: error,
        });
        settle((batch[0] as QueuedRecord).append, refusal);
        return;
      }
      this.#alone = batch.length;
    } else {
      await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
      this.#pauseMs = Math.min(this.#pauseMs * 2, RETRY_MAX_MS);
    }
    this.#queue = batch.concat(this.#queue).filter((record) => !record.append.settled);
  }

  #rejectOverdue(): void {
    const now = performance.now();
    let rejected = false;
    for (const { append } of this.#inFlight.concat(this.#queue)) {
      if (append.settled || append.deadline > now) continue;
      rejected = true;
      settle(append, new EventLogError('log_unavailable', 'the log did not acknowledge in time'));
    }
    // Given-up records must not hold memory behind a batch that gets no answer.
    if (rejected) this.#queue = this.#queue.filter((record) => !record.append.settled);
  }
}

function acknowledge(append: PendingAppend, index: number, offset: number): void {
  append.place(index, offset);
  if (--append.unacknowledged === 0 && !append.settled) {
    append.settled = true;
    append.resolve();
  }
}

function settle(append: PendingAppend, error: EventLogError): void {
  if (append.settled) return;
  append.settled = true;
  append.reject(error);
}
