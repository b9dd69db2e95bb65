import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What stays of a payload that was shredded: when it was, its size and its hash. The columns are empty for all others,
 * and cost them nothing. And how far the retention of single tenants has come: rows of this history, so one that is
 * rebuilt is swept from its beginning.
 */
export class Shredding1796000000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table history.message add shredded_at bigint, add payload_sha256 text, add payload_bytes int;
      create table history.swept (
        -- What is done, and for which tenant.
        walk text primary key,
        -- Ids up to which rows were looked through; and since when, for those that come late.
        delivery text collate "C" not null,
        message text collate "C" not null,
        begun_at bigint not null
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop table history.swept;
      alter table history.message drop shredded_at, drop payload_sha256, drop payload_bytes;
    `);
  }
}
