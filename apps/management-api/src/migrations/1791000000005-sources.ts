import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Where an account's events come from by themselves, which accounts that is done for, and for how long it was. */
export class Sources1791000000005 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table config.source (
        id text primary key,
        tenant text not null references config.tenant,
        account text not null references config.account,
        version int not null,
        config_version bigint not null,
        url text not null,
        sync_url text,
        -- Their values are sealed together.
        header_names text[] not null,
        headers jsonb,
        -- Another one with every URL: what was read of one stream says nothing about the next.
        stream text not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        deleted_at timestamptz
      );
      create unique index source_of_account on config.source (account) where deleted_at is null;

      -- How reading a source goes; one row per source that is there. Not configuration: it has no versions.
      create table config.source_stream (
        account text primary key references config.account,
        stream text not null,
        -- The process that reads it, until then; renewed while it lives.
        owner text,
        lease_until timestamptz,
        state jsonb not null,
        -- Published up to here.
        last_event_id text,
        last_event_at timestamptz,
        dropped_events bigint not null default 0,
        synced_at timestamptz
      );
      -- Renewed every few seconds in place.
      alter table config.source_stream set (fillfactor = 70);
      create table config.known_connection (
        account text not null references config.account,
        connection text not null,
        primary key (account, connection)
      );

      create table config.monitoring_period (
        id bigint generated always as identity primary key,
        tenant text not null references config.tenant,
        account text not null references config.account,
        started_at timestamptz not null,
        ended_at timestamptz,
        check (ended_at >= started_at)
      );
      create unique index monitoring_now on config.monitoring_period (account) where ended_at is null;
      create index monitoring_of_account on config.monitoring_period (account, started_at desc);
      create index monitoring_of_tenant on config.monitoring_period (tenant);
      -- Credits for monitoring; null = without end.
      alter table config.tenant add monitoring_credits double precision check (monitoring_credits >= 0);

      -- Which accounts the configuration asks to monitor. The one place where that is decided.
      create view config.to_be_monitored as
        select a.id as account, a.tenant
          from config.account a
         where a.deleted_at is null
           and exists (
             select 1 from config.endpoint e
              where e.account = a.id and e.deleted_at is null and e.enabled
                and (
                  e.profile = 'linkup'
                  or exists (select 1 from config.source s where s.account = a.id and s.deleted_at is null)
                )
           );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop view config.to_be_monitored;
      alter table config.tenant drop monitoring_credits;
      drop table config.monitoring_period, config.known_connection, config.source_stream, config.source;
    `);
  }
}
