import type pg from 'pg';
import type { PartitionRef, Position, StoredRecord } from '../port.js';
import { ProjectionPositions } from './projection-positions.js';
import type { ProjectionBatch, ProjectionStore } from './projection-store.js';

/** What a projection of its own writes into PostgreSQL. `Facts` is what it makes of a batch's records. */
export interface PostgresProjectionOptions<Facts> {
  /** Its schema, which holds the table `position`. */
  schema: string;
  pool: pg.Pool;
  /** Runs the work in one transaction of the pool; rolls back and rethrows what it throws. */
  inTransaction: (work: (client: pg.PoolClient) => Promise<void>) => Promise<void>;
  /**
   * Decodes the records and reads the rows they change. It may do so before the transaction begins: these rows change
   * with their partition's position only, and a position that moved meanwhile makes the transaction roll back.
   * Undefined when no row changes.
   */
  read: (batches: ProjectionBatch[]) => Promise<Facts | undefined>;
  /** Writes the rows. Answers what is to be done once they are committed. */
  write: (client: pg.PoolClient, facts: Facts) => Promise<() => void>;
  /** A record that decodes but that the database refuses; the same contract. Its partition moves on. */
  putAside: (client: pg.PoolClient, record: RefusedRecord) => Promise<() => void>;
}

export interface RefusedRecord extends PartitionRef {
  record: StoredRecord;
  reason: string;
}

/** Thrown inside the transaction so that it rolls back. */
class PositionMoved extends Error {}

/**
 * A projection's store in PostgreSQL: one transaction moves the positions and writes the rows. Records that change no
 * row cost one statement, which moves the positions alone.
 *
 * One record may hold what PostgreSQL cannot (a NUL in a text, a number out of range) and would fail its transaction
 * for ever. Such a batch is applied again record by record, and what is refused alone is put aside.
 */
export class PostgresProjection<Facts> implements ProjectionStore {
  readonly positions: ProjectionPositions;

  constructor(private readonly options: PostgresProjectionOptions<Facts>) {
    this.positions = new ProjectionPositions(options.pool, options.schema);
  }

  loadPositions(partitions: PartitionRef[]): Promise<Position[]> {
    return this.positions.load(partitions);
  }

  async apply(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    try {
      return await this.applyWhole(batches);
    } catch (error) {
      if (!isDataRefused(error)) throw error;
      return this.applyOneByOne(batches);
    }
  }

  private async applyWhole(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    const facts = await this.options.read(batches);
    if (facts !== undefined) return this.commit(batches, (client) => this.options.write(client, facts));
    // Should only some of them move: there was nothing to write for these either.
    return (await this.positions.move(this.options.pool, batches)) ? 'applied' : 'conflict';
  }

  private async applyOneByOne(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    for (const single of batches.flatMap(singles)) {
      if ((await this.applyOrPutAside(single)) === 'conflict') return 'conflict';
    }
    return 'applied';
  }

  private async applyOrPutAside(single: SingleRecord): Promise<'applied' | 'conflict'> {
    try {
      return await this.applyWhole([single]);
    } catch (error) {
      if (!isDataRefused(error)) throw error;
      const { topic, partition } = single;
      const refused = { topic, partition, record: single.records[0], reason: error.message };
      return this.commit([single], (client) => this.options.putAside(client, refused));
    }
  }

  private async commit(
    batches: ProjectionBatch[],
    write: (client: pg.PoolClient) => Promise<() => void>,
  ): Promise<'applied' | 'conflict'> {
    let afterCommit: () => void = () => undefined;
    try {
      await this.options.inTransaction(async (client) => {
        // First, because its row locks make a zombie and the rightful owner take turns.
        if (!(await this.positions.move(client, batches))) throw new PositionMoved();
        afterCommit = await write(client);
      });
    } catch (error) {
      if (error instanceof PositionMoved) return 'conflict';
      throw error;
    }
    afterCommit();
    return 'applied';
  }
}

type SingleRecord = ProjectionBatch & { records: [StoredRecord] };

function singles(batch: ProjectionBatch): SingleRecord[] {
  return batch.records.map((record, i) => ({
    ...batch,
    records: [record],
    from: i === 0 ? batch.from : record.offset,
    next: batch.records[i + 1]?.offset ?? batch.next,
  }));
}

/** SQLSTATE classes that say the data itself cannot be stored: another try would fail alike. */
function isDataRefused(error: unknown): error is Error & { code: string } {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false;
  const [dataException, integrity, limitExceeded] = ['22', '23', '54'];
  return [dataException, integrity, limitExceeded].includes(error.code.slice(0, 2));
}
