import type { AcceptedMessage } from '@posthaste/contracts';
import type pg from 'pg';

interface NewItem {
  endpoint: string;
  tenant: string;
  message: string;
  acceptedAt: number;
}

/**
 * Gives the feeds among the messages' routes their next items. Must run in the transaction that moves the messages'
 * positions: all messages of an account lie in one partition, so nobody else counts its endpoints up meanwhile, and a
 * batch that is read again finds its own items. A message that was appended twice under one id is one item.
 *
 * Each item is listed when its message was accepted, but at least a millisecond after the one before it: of all items up
 * to the nth, `n + max(accepted - nth)`. So it is the same in whatever batches they come.
 */
export async function appendFeedItems(client: pg.PoolClient, messages: AcceptedMessage[]): Promise<void> {
  const items = feedItemsOf(messages);
  if (items.length === 0) return;
  await client.query({
    name: 'append-feed-items',
    text: `with fresh as (
             select n.*, count(*) over (partition by n.endpoint) as added,
               row_number() over (partition by n.endpoint order by n.place) as nth
             from unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
               with ordinality as n (endpoint, tenant, message, accepted_at, place)
             where not exists (
               select from history.feed_item i where i.message = n.message and i.endpoint = n.endpoint)
           ), listed as (
             select f.*, f.nth + greatest(
                 h.newest_at, max(f.accepted_at - f.nth) over (partition by f.endpoint order by f.nth)) as listed_at
             from fresh f left join history.feed_head h on h.endpoint = f.endpoint
           ), head as (
             insert into history.feed_head as h (endpoint, tenant, newest, newest_at)
             select endpoint, min(tenant), count(*), max(listed_at) from listed group by endpoint order by endpoint
             on conflict (endpoint) do update
               set newest = h.newest + excluded.newest, newest_at = excluded.newest_at
             returning endpoint, newest
           )
           insert into history.feed_item (endpoint, sequence, message, accepted_at, listed_at)
           select l.endpoint, head.newest - l.added + l.nth, l.message, l.accepted_at, l.listed_at
           from listed l join head on head.endpoint = l.endpoint`,
    values: [
      items.map(({ endpoint }) => endpoint),
      items.map(({ tenant }) => tenant),
      items.map(({ message }) => message),
      items.map(({ acceptedAt }) => acceptedAt),
    ],
  });
}

function feedItemsOf(messages: AcceptedMessage[]): NewItem[] {
  const items = new Map<string, NewItem>();
  for (const { meta } of messages) {
    for (const { endpoint, feed } of meta.routes) {
      if (!feed) continue;
      const { id: message, tenant, at: acceptedAt } = meta;
      items.set(`${message}/${endpoint}`, { endpoint, tenant, message, acceptedAt });
    }
  }
  return [...items.values()];
}
