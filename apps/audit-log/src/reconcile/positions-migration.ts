import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Where messages stand in their accounts' order, and deliveries with them. A delivery has a position of its own: one
 * index lists what was meant for an endpoint in order, and a message with very many routes is several records.
 *
 * A position does not change once it is known, so the update that settles a delivery stays on its page (HOT).
 */
export class Positions1791000000505 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table history.message add position text collate "C";
      alter table history.delivery add position text collate "C";
      create index delivery_by_position on history.delivery (endpoint, position);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table history.delivery drop position;
      alter table history.message drop position;
    `);
  }
}
