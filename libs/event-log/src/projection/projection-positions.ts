import { setTimeout as sleep } from 'node:timers/promises';
import type { Topic } from '@posthaste/contracts';
import type pg from 'pg';
import type { EventLog, PartitionRef, Position } from '../port.js';
import type { ProjectionBatch } from './projection-store.js';

/**
 * A projection's positions in PostgreSQL: the table `position(topic, partition, next)` of the schema the projection
 * writes, moved in the transaction that writes its rows. A replica that lost a partition without knowing finds the
 * position moved and rolls back, so rows are never written twice or out of order.
 *
 * The table may be put in the place of another one, with the rows it is the positions of (libs/rebuild). What was worked
 * out from the rows that were there before must not be written over those that are there now: then too it has moved.
 */
export class ProjectionPositions {
  private tableOid: number | null = null;

  constructor(
    private readonly pool: pg.Pool,
    private readonly schema: string,
  ) {}

  /** The positions of these partitions, each with a row from now on: `move` only ever updates. */
  async load(partitions: PartitionRef[]): Promise<Position[]> {
    if (partitions.length === 0) return [];
    const refs = [partitions.map((p) => p.topic), partitions.map((p) => p.partition)];
    await this.pool.query(
      `insert into ${this.schema}.position (topic, partition, next)
       select topic, partition, 0 from unnest($1::text[], $2::int[]) as p (topic, partition)
       on conflict do nothing`,
      refs,
    );
    const { rows } = await this.pool.query<Position & { oid: number }>(
      `select topic, partition, next as offset, l.tableoid as oid from ${this.schema}.position l
       join unnest($1::text[], $2::int[]) as p (topic, partition) using (topic, partition)`,
      refs,
    );
    this.tableOid = rows[0]?.oid ?? null;
    return rows.map(({ oid: _, ...position }) => position);
  }

  /** False when one of the partitions is not where its batch begins, or the table is another one: the caller must roll back. */
  async move(client: pg.Pool | pg.PoolClient, batches: ProjectionBatch[]): Promise<boolean> {
    const { rowCount } = await client.query({
      name: `${this.schema}-move-positions`,
      text: `update ${this.schema}.position p set next = m.next
             from unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) as m (topic, partition, expected, next)
             where p.topic = m.topic and p.partition = m.partition and p.next = m.expected
               and p.tableoid = coalesce($5::oid, p.tableoid)`,
      values: [
        batches.map((b) => b.topic),
        batches.map((b) => b.partition),
        batches.map((b) => b.from),
        batches.map((b) => b.next),
        this.tableOid,
      ],
    });
    return rowCount === batches.length;
  }

  /**
   * Resolves when every partition has been applied to these ends, by whichever replica owns it: the table is asked,
   * because a replica knows only its own partitions. Resolves early when `signal` aborts.
   */
  async whenReached(ends: Position[], signal: AbortSignal, pollMs = 100): Promise<void> {
    while (!signal.aborted) {
      const { rows } = await this.pool
        .query<{ behind: number }>(
          `select count(*)::int as behind from unnest($1::text[], $2::int[], $3::bigint[]) as e (topic, partition, reach)
           left join ${this.schema}.position p using (topic, partition)
           where coalesce(p.next, 0) < e.reach`,
          [ends.map((e) => e.topic), ends.map((e) => e.partition), ends.map((e) => e.offset)],
        )
        // Not reachable now: the projection reports that, and asking again is all that is left to do here.
        .catch(() => ({ rows: [{ behind: -1 }] }));
      if (rows[0]?.behind === 0) return;
      await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Where the topics end now, leaving out partitions that hold no record: nobody will ever read up to their end. */
export async function endsOf(log: EventLog, topics: Pick<Topic, 'name'>[]): Promise<Position[]> {
  const found = await Promise.all(
    topics.map(async (topic) => {
      const [starts, ends] = await Promise.all([log.admin.startOffsets(topic), log.admin.endOffsets(topic)]);
      const startOf = new Map(starts.map((s) => [s.partition, s.offset]));
      return ends.filter((end) => end.offset > (startOf.get(end.partition) ?? 0));
    }),
  );
  return found.flat();
}
