import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The history schema. Every row is a function of the log: no serial number and no `now()`, so a history dropped and
 * rebuilt has the same rows. Ids are compared bytewise ("C"): they sort by time, whatever the database's language.
 *
 * Indexes are few, because each costs every delivery. What the lists need is (account, accepted_at, id); the
 * deliveries of a message are found there too, by the instant they share with it. No index holds a column that
 * changes, so the update that settles a delivery stays on its page (HOT), for which `fillfactor` leaves room.
 */
export class History1790000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table history.position (
        topic text not null, partition int not null, next bigint not null, primary key (topic, partition)
      );
      create table history.message (
        accepted_at bigint not null,
        id text collate "C" primary key,
        tenant text collate "C" not null,
        account text collate "C" not null,
        event_type text not null,
        -- The log's meta as it was: what is not asked for by a list is read from here.
        meta text not null,
        payload bytea not null
      );
      -- Payloads are served whole and many are compressed already: compressing again would cost every publish.
      alter table history.message alter column payload set storage external;
      create index message_by_account on history.message (account, accepted_at, id);

      create table history.delivery (
        accepted_at bigint not null,
        next_attempt_at bigint,
        settled_at bigint,
        attempts int not null,
        last_status_code int,
        id text collate "C" primary key,
        message text collate "C" not null,
        tenant text collate "C" not null,
        account text collate "C" not null,
        endpoint text collate "C" not null,
        event_type text not null,
        status text not null,
        last_error_class text,
        reason text
      ) with (fillfactor = 50);
      create index delivery_by_account on history.delivery (account, accepted_at, id);

      create table history.attempt (
        started_at bigint not null,
        next_attempt_at bigint,
        duration_ms float8 not null,
        endpoint_version bigint not null,
        number int not null,
        response_status int,
        response_truncated boolean,
        delivery text collate "C" not null,
        id text collate "C" not null,
        tenant text collate "C" not null,
        trigger text not null,
        profile text not null,
        outcome text not null,
        error_class text,
        error_message text,
        address text,
        request_url text not null,
        -- JSON as text: it is only ever handed on, and jsonb would refuse what some receivers send (\\u0000).
        request_headers text not null,
        response_headers text,
        timings text not null,
        response_body bytea,
        primary key (delivery, number)
      );
      -- Records that could not be read or written: kept for people, so that their partition can move on.
      create table history.quarantine (
        topic text not null,
        partition int not null,
        record_offset bigint not null,
        reason text not null,
        meta text,
        -- The first 16 KB.
        value bytea not null,
        primary key (topic, partition, record_offset)
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'drop table history.quarantine, history.attempt, history.delivery, history.message, history.position',
    );
  }
}
