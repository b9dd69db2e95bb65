import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * When an item is listed: the time its message was accepted, or a millisecond after the item before it, whichever is
 * later. Messages of one batch are accepted in one millisecond, and one may come into the log after another that was
 * accepted later; whoever reads on by time alone loses none of them, because these times grow with the sequence.
 */
export class FeedTimes1797000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table history.feed_head add newest_at bigint;
      alter table history.feed_item add listed_at bigint;
      update history.feed_item i set listed_at = counted.listed_at
        from (
          select endpoint, sequence, sequence + max(accepted_at - sequence)
                   over (partition by endpoint order by sequence) as listed_at
            from history.feed_item) counted
       where counted.endpoint = i.endpoint and counted.sequence = i.sequence;
      update history.feed_head h set newest_at = coalesce(
        (select max(listed_at) from history.feed_item i where i.endpoint = h.endpoint), 0);
      alter table history.feed_head alter newest_at set not null;
      alter table history.feed_item alter listed_at set not null;
      drop index history.feed_item_by_time;
      create index feed_item_by_time on history.feed_item (endpoint, listed_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop index history.feed_item_by_time;
      create index feed_item_by_time on history.feed_item (endpoint, accepted_at);
      alter table history.feed_item drop listed_at;
      alter table history.feed_head drop newest_at;
    `);
  }
}
