import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What an attempt's connection was secured with, as JSON; null on plain http and on attempts from before. */
export class AttemptTls1791000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('alter table history.attempt add tls text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table history.attempt drop tls');
  }
}
