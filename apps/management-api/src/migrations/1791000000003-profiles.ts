import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Endpoints that look like other products' on the wire, and endpoints that are fetched from instead of posted to. */
export class Profiles1791000000003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table config.endpoint
        drop constraint endpoint_mode_check,
        add check (mode in ('push', 'feed')),
        add check (profile in ('standard', 'ada', 'linkup', 'middesk')),
        add include text[];
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table config.endpoint
        drop constraint endpoint_mode_check,
        add check (mode in ('push')),
        drop constraint endpoint_profile_check,
        drop include;
    `);
  }
}
