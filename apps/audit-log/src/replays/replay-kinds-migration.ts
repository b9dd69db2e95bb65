import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Replays of chosen deliveries, of a whole account, to another endpoint, and of messages an endpoint never had. */
export class ReplayKinds1794000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table replays.replay
        add kind text not null default 'recover' check (kind in ('recover', 'resend', 'copy', 'backfill')),
        -- Null: of any endpoint of the account that names has.
        alter endpoint drop not null,
        add to_endpoint text collate "C",
        -- ReplayFilter and ReplayNames of the contracts. Apart, for names are many, and lists do not show them.
        add filter jsonb not null default '{"statuses": [], "event_types": [], "channels": []}',
        add names jsonb not null default '{"deliveries": [], "messages": [], "endpoints": []}';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      delete from replays.replay where kind <> 'recover' or endpoint is null;
      alter table replays.replay drop kind, alter endpoint set not null, drop to_endpoint, drop filter, drop names;
    `);
  }
}
