import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The configuration schema. Every entity has `version` (its own changes, for If-Match); an account also counts
 * `config_version`, raised under its row lock by every change of itself or of its endpoints, so that "what did this
 * account look like at version n" has one answer and a cache can ask "did anything change" in one column.
 */
export class Configuration1790000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table config.tenant (
        id text primary key,
        version int not null,
        -- Raised by every change of the tenant, of its keys or of its event types.
        config_version bigint not null default 1,
        name text not null,
        -- any: every well-formed event type is accepted; known: only those in the catalogue.
        event_type_policy text not null default 'any' check (event_type_policy in ('any', 'known')),
        data_keys jsonb not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz
      );
      create table config.api_key (
        id text primary key,
        tenant text not null references config.tenant,
        scope text not null check (scope in ('tenant', 'account')),
        account text,
        name text not null,
        -- HMAC-SHA256 of the whole key under the pepper; the key itself is shown once and kept nowhere.
        digest bytea not null,
        last4 text not null,
        version int not null default 1,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        check ((scope = 'account') = (account is not null))
      );
      create index api_key_by_tenant on config.api_key (tenant, created_at desc, id desc);
      create table config.account (
        id text primary key,
        tenant text not null references config.tenant,
        uid text not null,
        version int not null,
        config_version bigint not null default 1,
        name text not null,
        metadata jsonb not null default '{}',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz
      );
      create unique index account_by_uid on config.account (tenant, uid) where deleted_at is null;
      create index account_by_age on config.account (tenant, created_at desc, id desc) where deleted_at is null;
      create table config.endpoint (
        id text primary key,
        tenant text not null references config.tenant,
        account text not null references config.account,
        uid text,
        version int not null,
        -- The account's config_version at the endpoint's last change.
        config_version bigint not null,
        url text not null,
        description text not null default '',
        enabled boolean not null default true,
        disabled_reason text,
        mode text not null default 'push' check (mode in ('push')),
        profile text not null default 'standard',
        event_types text[] not null default '{}',
        channels text[] not null default '{}',
        headers jsonb not null default '{}',
        retry_policy jsonb not null default '{"preset": "ada"}',
        timeout_seconds real not null default 15,
        metadata jsonb not null default '{}',
        -- Sealed by the vault, newest first.
        secrets jsonb not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz
      );
      create unique index endpoint_by_uid on config.endpoint (account, uid) where deleted_at is null;
      create index endpoint_by_tenant_uid on config.endpoint (tenant, uid)
        where deleted_at is null and uid is not null;
      create index endpoint_by_account on config.endpoint (account, created_at desc, id desc) where deleted_at is null;
      create table config.event_type (
        id text primary key,
        tenant text not null references config.tenant,
        name text not null,
        version int not null,
        description text not null default '',
        json_schema jsonb,
        example jsonb,
        group_name text,
        archived boolean not null default false,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz
      );
      create unique index event_type_by_name on config.event_type (tenant, name) where deleted_at is null;
      -- What every entity looked like after each of its changes. Never edited.
      create table config.entity_version (
        entity_id text not null,
        version int not null,
        kind text not null,
        tenant text not null,
        account text,
        config_version bigint not null,
        state jsonb not null,
        audit_id text not null,
        at timestamptz not null default now(),
        primary key (entity_id, version)
      );
      create index entity_version_by_account on config.entity_version (account, config_version);
      create table config.audit_entry (
        id text primary key,
        tenant text not null,
        entry jsonb not null,
        at timestamptz not null default now()
      );
      -- Written in the transaction of the change; the relay appends it to the log and deletes it.
      create table config.outbox (
        id bigint generated always as identity primary key,
        topic text not null,
        key text not null,
        value text not null,
        created_at timestamptz not null default now()
      );
      create table config.idempotency (
        tenant text not null,
        scope text not null,
        key text not null,
        fingerprint bytea not null,
        -- Given at the first sight of the key, so that a repeated request publishes the same message.
        result_id text not null,
        -- Null while the first request runs.
        response jsonb,
        -- Until then a second request waits for nobody: the first may have died.
        running_until timestamptz not null,
        created_at timestamptz not null default now(),
        primary key (tenant, scope, key)
      );
      create index idempotency_by_age on config.idempotency (created_at);
      create function config.refuse_change() returns trigger language plpgsql as $$
        begin raise exception '% is append-only', tg_table_name; end $$;
      create trigger entity_version_is_final before update or delete on config.entity_version
        for each row execute function config.refuse_change();
      create trigger audit_entry_is_final before update or delete on config.audit_entry
        for each row execute function config.refuse_change();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop schema config cascade');
  }
}
