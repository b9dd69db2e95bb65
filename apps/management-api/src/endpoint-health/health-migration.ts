import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How endpoints have been answering, and what is to be done about it. Times are ms since 1970, those of the events. */
export class Health1791000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table health.position (
        topic text not null, partition int not null, next bigint not null, primary key (topic, partition)
      );
      create table health.endpoint (
        endpoint text collate "C" primary key,
        failing_since bigint,
        last_success_at bigint,
        last_failure_at bigint,
        failures int not null,
        -- 0, 24, 72 or 168: the last stage of failing that was acted on
        stage_hours int not null,
        -- operators were warned, and not yet told that it recovered
        is_warned boolean not null
      );
      -- Rewritten in place while an endpoint fails.
      alter table health.endpoint set (fillfactor = 70);
      create table health.action (
        -- What it follows from, in words: the same cause asks for the same action once.
        cause text collate "C" primary key,
        kind text not null check (kind in ('disable', 'tell')),
        tenant text not null,
        account text not null,
        endpoint text not null,
        at bigint not null,
        detail jsonb not null,
        -- Kept for as long as the log may be read again, so that doing so asks for nothing twice.
        done_at timestamptz
      );
      create index action_to_do on health.action (kind, at, cause) where done_at is null;
      create index action_done on health.action (done_at) where done_at is not null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table health.action, health.endpoint, health.position');
  }
}
