import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What endpoints of mode `feed` were given, numbered. Like all of history it is a function of the log: the items of an
 * endpoint are numbered in the order of its account's partition.
 */
export class Feeds1791000000003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table history.feed_head (
        newest bigint not null,
        endpoint text collate "C" primary key,
        tenant text collate "C" not null
      ) with (fillfactor = 50);

      create table history.feed_item (
        sequence bigint not null,
        accepted_at bigint not null,
        endpoint text collate "C" not null,
        message text collate "C" not null,
        primary key (endpoint, sequence)
      );
      -- A message is in a feed once, however often it was appended; and its id, which begins with its time, finds what is old.
      create unique index feed_item_by_message on history.feed_item (message, endpoint);
      create index feed_item_by_time on history.feed_item (endpoint, accepted_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table history.feed_item, history.feed_head');
  }
}
