import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A key set is asked for by its random id alone, by token servers, and by strangers who guess. */
export class PublishedKeys1791000000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create unique index endpoint_jwks on config.endpoint ((oauth->'key'->>'jwks'))
        where oauth->'key'->>'jwks' is not null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop index config.endpoint_jwks;');
  }
}
