import type { FeedHead, HistoryFeedItem, HistoryFeedPage, ReadFeedRequest } from '@posthaste/contracts';
import type pg from 'pg';

const MAX_ITEMS = 200;
/** 200 payloads of 256 KB would be 50 MB in three processes; the item that goes beyond is the page's last. */
const PAGE_BYTES = 4 * 1024 * 1024;

/**
 * A page of a feed with what the feed holds.
 *
 * @param keptSince ms since 1970: what is listed before it has aged out. Items are listed in the order of their sequence,
 * so what has not is there without a hole.
 */
export async function readFeed(
  pool: pg.Pool,
  request: ReadFeedRequest,
  keptSince: number,
): Promise<HistoryFeedPage> {
  const { tenant, endpoint, after = 0 } = request;
  const { rows } = await pool.query<{ newest: number; oldest: number }>({
    name: 'read-feed-bounds',
    text: `select h.newest, coalesce((
             select min(sequence) from history.feed_item i
             where i.endpoint = h.endpoint and i.listed_at >= $3), h.newest + 1) as oldest
           from history.feed_head h where h.endpoint = $1 and h.tenant = $2`,
    values: [endpoint ?? '', tenant ?? '', keptSince],
  });
  const [feed] = rows;
  if (!feed) return { items: [], oldest: 1, newest: 0 };
  const limit = Math.min(Math.max(request.limit ?? 0, 1), MAX_ITEMS);
  const found = await selectItems(pool, request, Math.max(after, feed.oldest - 1), limit);
  const items = found.slice(0, limit).map(({ left: _, ...item }) => item);
  return {
    items,
    oldest: feed.oldest,
    // What was added since the first statement is in the second one's answer.
    newest: Math.max(feed.newest, items.at(-1)?.sequence ?? 0),
    has_more: (found[items.length - 1]?.left ?? 0) > 0,
  };
}

/** At most `limit` items, and how many of those that were looked at, one more than `limit`, come after each. */
async function selectItems(
  pool: pg.Pool,
  { endpoint, since, until, accepted_since: acceptedSince }: ReadFeedRequest,
  after: number,
  limit: number,
): Promise<(HistoryFeedItem & { left: number })[]> {
  const values: unknown[] = [endpoint, after, limit + 1, PAGE_BYTES];
  // Only what is asked for: a range that means any time could make the planner read all of a feed by its times.
  const times = [
    ...(since === undefined ? [] : [`and i.listed_at > $${values.push(since)}`]),
    ...(until === undefined ? [] : [`and i.listed_at < $${values.push(until)}`]),
    // No item is listed before it is accepted, and only that has an index.
    ...(acceptedSince === undefined
      ? []
      : [`and i.listed_at > $${values.push(acceptedSince)} and i.accepted_at > $${values.length}`]),
  ];
  const { rows } = await pool.query<HistoryFeedItem & { left: number }>({
    // Prepared only without times, of which each pair deserves a plan of its own.
    ...(times.length === 0 ? { name: 'read-feed-items' } : {}),
    text: `select sequence, message, accepted_at, listed_at, meta as meta_json, payload, left_over as left
           from (
             select s.*, m.meta, m.payload,
               count(*) over () - row_number() over (order by s.sequence) as left_over,
               sum(length(m.payload)) over (order by s.sequence) - length(m.payload) as bytes_before
             from (
               select sequence, accepted_at, listed_at, message from history.feed_item i
               where i.endpoint = $1 and i.sequence > $2 ${times.join(' ')}
               order by i.sequence limit $3
             ) s
             -- One look-up for each: "offset 0" keeps the planner from joining a page with all messages there are.
             cross join lateral (
               -- What was shredded is an item still, or the feed had a hole, and says nothing.
               select meta, case when shredded_at is null then payload else 'null'::bytea end as payload
               from history.message where id = s.message offset 0) m
           ) p where bytes_before < $4
           order by sequence`,
    values,
  });
  return rows;
}

export async function feedHeads(pool: pg.Pool, endpoints: string[]): Promise<FeedHead[]> {
  const { rows } = await pool.query<FeedHead>({
    name: 'feed-heads',
    text: 'select endpoint, newest from history.feed_head where endpoint = any($1::text[])',
    values: [endpoints],
  });
  return rows;
}
