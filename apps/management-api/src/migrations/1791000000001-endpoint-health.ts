import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the endpoint's health is judged by, and who is told of it. The health itself has a schema of its own. */
export class EndpointHealth1791000000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table config.endpoint
        add auto_disable boolean not null default true,
        -- Failures before it count for nothing: it was switched on again then, or got another URL.
        add health_since timestamptz;
      alter table config.account add receives_operator_events boolean not null default false;
      create index account_of_operators on config.account (tenant)
        where receives_operator_events and deleted_at is null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table config.endpoint drop auto_disable, drop health_since;
      alter table config.account drop receives_operator_events;
    `);
  }
}
