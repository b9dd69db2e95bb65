import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = ['message', 'delivery', 'attempt'];

/**
 * Rows that were inserted are vacuumed by count and not by a share of the table: while their pages are in memory, and before a
 * checkpoint has most of them written to the WAL in full for it. By share, that was a third of all that was written.
 */
export class HistoryVacuum1799000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const table of TABLES) {
      await runner.query(`alter table history.${table} set (
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000)`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const table of TABLES) {
      await runner.query(`alter table history.${table} reset (
        autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold)`);
    }
  }
}
