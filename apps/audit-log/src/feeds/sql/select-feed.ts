import type { FeedHead, HistoryFeedItem, HistoryFeedPage, ReadFeedRequest } from '@posthaste/contracts';
import type pg from 'pg';

const MAX_ITEMS = 200;
/** 200 payloads of 256 KB would be 50 MB in three processes; the item that goes beyond is the page's last. */
const PAGE_BYTES = 4 * 1024 * 1024;

interface FeedColumns extends Omit<HistoryFeedItem, 'sequence'> {
  newest: number;
  oldest: number;
  /** Null in the one row of a page without items. */
  sequence: number | null;
  found: number;
}

/**
 * A page of a feed with what the feed holds, as of one instant.
 *
 * @param keptSince ms since 1970: what was accepted before it has aged out. Everything from the first item that has not
 * is there: clocks of several replicas may differ a little, and the sequence must not have holes.
 */
export async function readFeed(
  pool: pg.Pool,
  { tenant, endpoint, limit, after, since, until }: ReadFeedRequest,
  keptSince: number,
): Promise<HistoryFeedPage> {
  const { rows } = await pool.query<FeedColumns>({
    name: 'read-feed',
    text: `select f.newest, f.oldest, p.*
           from (
             select h.newest, coalesce((
               select min(sequence) from history.feed_item i
               where i.endpoint = h.endpoint and i.accepted_at >= $3), h.newest + 1) as oldest
             from history.feed_head h where h.endpoint = $1 and h.tenant = $2
           ) f left join lateral (
             select s.*, m.meta as meta_json, m.payload,
               count(*) over () as found,
               sum(length(m.payload)) over (order by s.sequence) - length(m.payload) as bytes_before
             from (
               select sequence, accepted_at, message from history.feed_item i
               where i.endpoint = $1 and i.sequence >= f.oldest and i.sequence > $4
                 and i.accepted_at > $5 and i.accepted_at < $6
               order by i.sequence limit $7
             ) s join history.message m on m.id = s.message
           ) p on p.bytes_before < $8
           order by p.sequence`,
    values: [
      endpoint ?? '',
      tenant ?? '',
      keptSince,
      after ?? 0,
      since ?? 0,
      until ?? Number.MAX_SAFE_INTEGER,
      itemsOf(limit) + 1,
      PAGE_BYTES,
    ],
  });
  const [feed] = rows;
  if (!feed) return { items: [], oldest: 1, newest: 0 };
  const items = rows.flatMap(({ sequence, message, accepted_at, meta_json, payload }) =>
    sequence === null ? [] : [{ sequence, message, accepted_at, meta_json, payload }],
  );
  return {
    items: items.slice(0, itemsOf(limit)),
    oldest: feed.oldest,
    newest: feed.newest,
    has_more: feed.found > Math.min(items.length, itemsOf(limit)),
  };
}

export async function feedHeads(pool: pg.Pool, endpoints: string[]): Promise<FeedHead[]> {
  const { rows } = await pool.query<FeedHead>({
    name: 'feed-heads',
    text: 'select endpoint, newest from history.feed_head where endpoint = any($1::text[])',
    values: [endpoints],
  });
  return rows;
}

function itemsOf(limit: number | undefined): number {
  return Math.min(Math.max(limit ?? 0, 1), MAX_ITEMS);
}
