import { lowestId, topics } from '@posthaste/contracts';
import { type EventLog, partitionOf, type Position } from '@posthaste/event-log';
import type pg from 'pg';
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Of a rebuild: up to when the log has forgotten what it held of a partition. Its own schema: `schedule` is swapped. */
export class Forgotten1796000000003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table schedule_rebuild.forgotten (
        run text collate "C" not null, partition int not null, until bigint not null, primary key (run, partition)
      )
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table schedule_rebuild.forgotten');
  }
}

/** A message of before this may have events that are not in the log any more. */
export interface Forgotten {
  account: string;
  /** Messages below this id. */
  below: string;
}

/** Messages are given their time by who accepts them, records by the log: clocks may differ by so much. */
const CLOCKS_MS = 60_000;

export async function noteForgotten(
  pool: pg.Pool,
  run: string,
  { partition, until }: { partition: number; until: number },
): Promise<void> {
  await pool.query(
    `insert into schedule_rebuild.forgotten as f (run, partition, until) values ($1, $2, $3)
     on conflict (run, partition) do update set until = greatest(f.until, excluded.until)`,
    [run, partition, until],
  );
}

/** Of these partitions there is nothing left to read up to where the live index stands. */
export async function emptied(log: EventLog, live: Position[]): Promise<Position[]> {
  const starts = await log.admin.startOffsets(topics.deliveries);
  const startOf = new Map(starts.map(({ partition, offset }) => [partition, offset]));
  return live.filter(({ partition, offset }) => offset > 0 && (startOf.get(partition) ?? 0) >= offset);
}

/**
 * The accounts that are owed something from times the log has forgotten. Nearly always none: what is owed is seldom
 * older than hours, and the log keeps weeks.
 *
 * @param partitions how many the topic has
 */
export async function forgottenAccounts(
  client: pg.ClientBase,
  run: string,
  partitions: number,
): Promise<Forgotten[]> {
  const { rows: gaps } = await client.query<{ partition: number; until: string }>(
    'select partition, until from schedule_rebuild.forgotten where run = $1',
    [run],
  );
  if (gaps.length === 0) return [];
  const belowOf = new Map(
    gaps.map(({ partition, until }) => [partition, lowestId('message', Number(until) + CLOCKS_MS)]),
  );
  const highest = [...belowOf.values()].reduce((a, b) => (a > b ? a : b));
  const { rows } = await client.query<{ account: string }>(
    'select distinct account from schedule.due where message < $1',
    [highest],
  );
  return rows.flatMap(({ account }) => {
    const below = belowOf.get(partitionOf(account, partitions));
    return below === undefined ? [] : [{ account, below }];
  });
}
