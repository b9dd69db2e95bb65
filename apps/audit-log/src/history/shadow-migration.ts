import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What came of the copies of attempts that went to shadow URLs: shown beside the attempt, and never asked about alone. */
export class HistoryShadows1791000000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table history.shadow_attempt (
        delivery text collate "C" not null,
        number int not null,
        -- The event as JSON: it is only ever handed on.
        event text not null,
        primary key (delivery, number)
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table history.shadow_attempt');
  }
}
