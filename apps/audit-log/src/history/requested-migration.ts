import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who asked for which attempts: one row for each that a resend or a replay has requested, made or not. */
export class RequestedAttempts1791000000010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table history.requested_attempt (
        delivery text collate "C" not null,
        number int not null,
        requested_at bigint not null,
        requested_by text not null,
        replay text collate "C",
        primary key (delivery, number)
      );
      create index requested_by_replay on history.requested_attempt (replay, delivery) where replay is not null;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table history.requested_attempt');
  }
}
