import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The due index: the attempts that are owed and not yet handed over, at most one of each delivery. */
export class DueIndex1790000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table schedule.position (
        topic text not null, partition int not null, next bigint not null, primary key (topic, partition)
      );
      create table schedule.due (
        -- ms since 1970, as the dispatcher wrote it
        due_at bigint not null,
        attempt bigint not null,
        delivery text collate "C" primary key,
        message text collate "C" not null,
        tenant text collate "C" not null,
        account text collate "C" not null,
        endpoint text collate "C" not null,
        trigger text not null,
        -- why it was deferred; null for a retry
        reason text
      );
      create index due_by_time on schedule.due (due_at);
      -- A queue: every row dies within hours. Vacuum by count, not by share, or dead rows slow the claims down.
      alter table schedule.due set (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table schedule.due, schedule.position');
  }
}
