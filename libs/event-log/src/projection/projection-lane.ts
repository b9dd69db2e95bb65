import type { PartitionRef, RecordBatch } from '../port.js';
import type { ProjectionBatch } from './projection-store.js';
import { recordBytes } from '../record-size.js';

/**
 * What waits to be applied of one partition, in order and without repeats. `position` is applied, `expected` is queued
 * or in the transaction now running; both only rise. A lane is never put back: when its partition is read anew from
 * the store's position, a new lane takes its place, and what still refers to the old one is known to be late.
 */
export class ProjectionLane implements PartitionRef {
  readonly topic: string;
  readonly partition: number;
  position: number;
  expected: number;
  isPaused = false;
  #queue: { batch: RecordBatch; bytes: number }[] = [];
  /** Queued. */
  records = 0;
  bytes = 0;

  constructor(ref: PartitionRef, position: number) {
    this.topic = ref.topic;
    this.partition = ref.partition;
    this.position = position;
    this.expected = position;
  }

  get hasWork(): boolean {
    return this.#queue.length > 0;
  }

  /** Records below what is expected came before: after a rejoin or a seek a log may give them again. */
  add(batch: RecordBatch): void {
    if (batch.next <= this.expected) return;
    const records = batch.records.filter((record) => record.offset >= this.expected);
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    this.#queue.push({ batch: { ...batch, records }, bytes });
    this.records += records.length;
    this.bytes += bytes;
    this.expected = batch.next;
  }

  /** Queued batches as one that continues `position`, until the room is used up. */
  take(room: { records: number; bytes: number }): ProjectionBatch | undefined {
    let taken: ProjectionBatch | undefined;
    while (this.#queue.length > 0 && room.records > 0 && room.bytes > 0) {
      const { batch, bytes } = this.#queue.shift() as { batch: RecordBatch; bytes: number };
      this.records -= batch.records.length;
      this.bytes -= bytes;
      room.records -= batch.records.length;
      room.bytes -= bytes;
      taken ??= {
        topic: this.topic,
        partition: this.partition,
        records: [],
        next: batch.next,
        from: this.position,
      };
      taken.records.push(...batch.records);
      taken.next = batch.next;
    }
    return taken;
  }
}
