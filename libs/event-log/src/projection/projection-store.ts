import type { PartitionRef, Position, RecordBatch } from '../port.js';

/** Where a projection's rows and positions live. */
export interface ProjectionStore {
  /** The next offset to apply, for each partition that has one; the rest start at the oldest record. */
  loadPositions(partitions: PartitionRef[]): Promise<Position[]>;
  /**
   * Applies all batches and moves each partition's position from the batch's first offset expected to `next`, or
   * nothing at all. `from` is the position the batch continues.
   */
  apply(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'>;
}

export interface ProjectionBatch extends RecordBatch {
  from: number;
}
