import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What an endpoint may ask of its deliveries. Credentials in `oauth` and `client_certificate` are sealed. */
export class DeliveryEngine1791000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table config.endpoint
        add rate_limit jsonb,
        add ordering text not null default 'none' check (ordering in ('none', 'by_key')),
        add on_exhausted text not null default 'skip' check (on_exhausted in ('block', 'skip')),
        add oauth jsonb,
        add client_certificate jsonb,
        add shadow_url text;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table config.endpoint
        drop rate_limit, drop ordering, drop on_exhausted, drop oauth, drop client_certificate, drop shadow_url;
    `);
  }
}
