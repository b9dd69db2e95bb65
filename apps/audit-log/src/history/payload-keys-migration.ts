import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The index of payloads (`payload-keys.ts`): a row of keys for each message of the last day or two, in a table for each
 * day, so that what is old is dropped and costs nothing. Those tables are made by whoever writes the day's first message
 * (`sql/insert-payload-keys.ts`), and are called by the day's number since 1970.
 *
 * A list of entries that are not yet in their place is what each search has to read through, and a longer one makes
 * writing cheaper: `gin_pending_list_limit`.
 */
export class PayloadKeys1798000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table history.payload_key (
        accepted_at bigint not null,
        message text collate "C" not null,
        keys int4[] not null,
        buckets int4[] not null,
        primary key (message, accepted_at)
      ) partition by range (accepted_at);
      create index payload_key_buckets on history.payload_key using gin (buckets) with (gin_pending_list_limit = 1024);

      -- One row: since when the keys are complete. Every message that was accepted then or later has its keys, as whoever
      -- writes one without them, or drops them, moves this beyond it in the same transaction.
      create table history.payload_indexed (since bigint not null);
      -- Of what is there already nothing is known, nor of what processes of the version before still write.
      insert into history.payload_indexed
        select case when exists (select from history.message)
          then (extract(epoch from now()) * 1000)::bigint + 3600000 else 0 end;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table history.payload_indexed, history.payload_key');
  }
}
