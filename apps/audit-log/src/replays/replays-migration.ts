import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Replays and how far they are. A schema of its own: they are commands and no function of the log, so a history that is
 * dropped and rebuilt leaves them as they are.
 */
export class Replays1791000000011 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table replays.replay (
        id text collate "C" primary key,
        tenant text collate "C" not null,
        account text collate "C" not null,
        endpoint text collate "C" not null,
        -- ms since 1970: messages accepted at or after since, and before until
        since bigint not null,
        until bigint not null,
        rate_per_second int not null,
        requested_by text not null,
        created_at bigint not null,
        status text not null check (status in ('running', 'paused', 'completed', 'cancelled')),
        total int not null,
        requested int not null default 0,
        finished_at bigint,
        -- Where the next page begins: after this delivery.
        after_at bigint not null default -1,
        after_id text collate "C" not null default '',
        -- The page at hand: decided, and perhaps appended. Null between pages.
        page jsonb,
        -- By the database's clock, the rate's pace.
        next_at timestamptz not null default now()
      );
      create index replay_by_tenant on replays.replay (tenant, created_at, id);
      create index replay_running on replays.replay (next_at) where status = 'running';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table replays.replay');
  }
}
