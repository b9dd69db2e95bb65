import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How long a tenant wants its history kept. */
export class Retention1796000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // Null: what the installation keeps.
    await runner.query('alter table config.tenant add retention_days int');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('alter table config.tenant drop retention_days');
  }
}
