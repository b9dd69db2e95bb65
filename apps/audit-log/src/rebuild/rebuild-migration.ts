import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which rebuilds of history were asked for, and what became of them. A schema of its own: history itself is swapped. */
export class Rebuild1796000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table rebuild.run (
        id text collate "C" primary key,
        started_at bigint not null,
        status text not null check (status in ('running', 'completed', 'failed', 'cancelled')),
        finished_at bigint,
        -- Of one that failed: the sentence.
        reason text,
        -- Of one that got as far: how the tables compared.
        tables jsonb
      );
      create unique index run_at_work on rebuild.run (status) where status = 'running';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table rebuild.run');
  }
}
