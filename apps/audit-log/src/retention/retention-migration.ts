import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What is to be forgotten, and by whose wish. A schema of its own: a history that is dropped or rebuilt from the log
 * must not bring back what was shredded.
 */
export class Retention1796000000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- What the configuration says of tenants that keep less than the installation does, or are gone. The topic
      -- forgets deleted tenants; here they stay.
      create table retention.tenant (
        id text collate "C" primary key,
        version int not null,
        kept_days int,
        deleted boolean not null
      );
      create table retention.shredded (
        message text collate "C" primary key,
        tenant text collate "C" not null,
        shredded_at bigint not null,
        shredded_by text not null
      );
      create index shredded_lately on retention.shredded (shredded_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table retention.shredded, retention.tenant');
  }
}
