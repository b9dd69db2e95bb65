import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Keys that may do only some things; since when an endpoint is off; and the keys of assertions that many endpoints share. */
export class KeyPermissions1791000000006 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- Null: everything its scope can reach.
      alter table config.api_key add permissions text[];
      alter table config.endpoint add disabled_at timestamptz;
      update config.endpoint set disabled_at = updated_at where not enabled;
      create table config.shared_key (
        kid text primary key,
        -- With its certificate.
        public jsonb not null,
        -- Under a data key of its own: it is no tenant's.
        data_key jsonb not null,
        sealed text not null,
        created_at timestamptz not null default now(),
        -- When no endpoint had it any more.
        retired_at timestamptz
      );
      create index endpoint_by_assertion_key on config.endpoint ((oauth->'key'->'public'->>'kid'))
        where oauth->'key' is not null and deleted_at is null;
      create index endpoint_by_asserting_client on config.endpoint ((oauth->>'clientId'))
        where oauth->>'method' = 'private_key_jwt' and deleted_at is null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop index config.endpoint_by_assertion_key, config.endpoint_by_asserting_client;
      drop table config.shared_key;
      alter table config.endpoint drop disabled_at;
      alter table config.api_key drop permissions;
    `);
  }
}
