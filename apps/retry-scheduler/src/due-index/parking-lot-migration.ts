import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The parking lot: attempts that wait for their lane and not for a time. */
export class ParkingLot1791000000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      -- Released when its lane has room, whatever due_at says, which stays what people are shown. A deferral for a
      -- reason of the lane's is written so; besides, the release parks what is due and finds no room. That is a state
      -- of its own (as is a postponed due_at): an index read anew from the log may differ in it, until it falls due.
      alter table schedule.due add column parked boolean not null default false;
      drop index schedule.due_by_time;
      create index due_by_time on schedule.due (due_at) where not parked;
      -- The id of a delivery begins with its message's time: the order of acceptance.
      create index parked_by_lane on schedule.due (endpoint, delivery) where parked;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop index schedule.parked_by_lane, schedule.due_by_time;
      alter table schedule.due drop column parked;
      create index due_by_time on schedule.due (due_at);
    `);
  }
}
