import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Deliveries of ordering keys. `key_state`, null for all others, is
 *
 *   behind    another one of its key comes first
 *   first     it may be released, when its time has come or its lane has room
 *   released  it was handed over, and stays until an event says what became of it: those behind it go on waiting
 *   blocking  it is exhausted, and those behind it wait for somebody to cancel it
 */
export class Ordering1791000000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table schedule.due
        add partition int,
        add ordering_key text collate "C",
        add position bigint,
        add key_state text check (key_state in ('behind', 'first', 'released', 'blocking')),
        add held boolean generated always as (coalesce(key_state, 'first') <> 'first') stored;
      drop index schedule.due_by_time, schedule.parked_by_lane;
      create index due_by_time on schedule.due (due_at) where not parked and not held;
      create index parked_by_lane on schedule.due (endpoint, position nulls first, delivery)
        where parked and not held;
      create index due_by_key on schedule.due (partition, endpoint, ordering_key, position)
        where ordering_key is not null;
      create index released_in_order on schedule.due (due_at) where key_state = 'released';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop index schedule.released_in_order, schedule.due_by_key, schedule.due_by_time, schedule.parked_by_lane;
      alter table schedule.due drop held, drop key_state, drop position, drop ordering_key, drop partition;
      create index due_by_time on schedule.due (due_at) where not parked;
      create index parked_by_lane on schedule.due (endpoint, delivery) where parked;
    `);
  }
}
