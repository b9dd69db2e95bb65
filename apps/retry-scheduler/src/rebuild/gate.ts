import {
  partitionKey,
  type PartitionRef,
  type Position,
  type ProjectionBatch,
  type ProjectionStore,
} from '@posthaste/event-log';

/**
 * Lets the next index follow the log up to a bound, so that it can be made to stand exactly where the live one stands.
 *
 *   open --> held (what is being written is written, nothing more) --> limited (up to these offsets) --> open ...
 *   any  --> closed: what waits is given back
 */
export class Gate implements ProjectionStore {
  /** By partition; what is not named is held. Undefined: open. */
  private bounds: Map<string, number> | undefined;
  private moved = Promise.withResolvers<void>();
  private applying: Promise<unknown> = Promise.resolve();
  private isClosed = false;

  constructor(
    private readonly store: ProjectionStore,
    /** Records that came before this one are not in the log any more, as far as is known. Told before it is applied. */
    private readonly onGap: (gap: { partition: number; until: number }) => Promise<void>,
  ) {}

  loadPositions(partitions: PartitionRef[]): Promise<Position[]> {
    return this.store.loadPositions(partitions);
  }

  async apply(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    let left = batches;
    while (!this.isClosed) {
      // Before the bounds are looked at: they may move while what is within them is written.
      const { promise: moved } = this.moved;
      const { now, later } = this.cut(left);
      if (now.length > 0) {
        const applying = this.applyNow(now);
        this.applying = applying.catch(() => undefined);
        if ((await applying) === 'conflict') return 'conflict';
      }
      if (later.length === 0) return 'applied';
      left = later;
      await moved;
    }
    return 'conflict';
  }

  /** Nothing more is written once it resolves. */
  async hold(): Promise<void> {
    this.move(new Map());
    await this.applying;
  }

  limit(positions: Position[]): void {
    this.move(new Map(positions.map((position) => [partitionKey(position), position.offset])));
  }

  open(): void {
    this.move(undefined);
  }

  close(): void {
    this.isClosed = true;
    this.move(new Map());
  }

  private move(bounds: Map<string, number> | undefined): void {
    this.bounds = bounds;
    this.moved.resolve();
    this.moved = Promise.withResolvers();
  }

  private async applyNow(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    for (const batch of batches) {
      const until = endOfGap(batch);
      if (until !== undefined) await this.onGap({ partition: batch.partition, until });
    }
    return this.store.apply(batches);
  }

  private cut(batches: ProjectionBatch[]): { now: ProjectionBatch[]; later: ProjectionBatch[] } {
    const now: ProjectionBatch[] = [];
    const later: ProjectionBatch[] = [];
    for (const batch of batches) {
      const bound = this.bounds ? (this.bounds.get(partitionKey(batch)) ?? 0) : Infinity;
      if (batch.next <= bound) now.push(batch);
      else if (batch.from >= bound) later.push(batch);
      else {
        const isWithin = ({ offset }: { offset: number }): boolean => offset < bound;
        now.push({ ...batch, records: batch.records.filter(isWithin), next: bound });
        later.push({ ...batch, records: batch.records.filter((record) => !isWithin(record)), from: bound });
      }
    }
    return { now, later };
  }
}

/** When the log took the first record behind the last gap; now, when the batch is nothing but a gap. */
function endOfGap({ from, records, next }: ProjectionBatch): number | undefined {
  let until: number | undefined;
  let expected = from;
  for (const { offset, appendedAt } of records) {
    if (offset > expected) until = appendedAt;
    expected = offset + 1;
  }
  return records.length === 0 && next > from ? Date.now() : until;
}
