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
           ), head as (
             insert into history.feed_head as h (endpoint, tenant, newest)
             select endpoint, min(tenant), count(*) from fresh group by endpoint order by endpoint
             on conflict (endpoint) do update set newest = h.newest + excluded.newest
             returning endpoint, newest
           )
           insert into history.feed_item (endpoint, sequence, message, accepted_at)
           select f.endpoint, head.newest - f.added + f.nth, f.message, f.accepted_at
           from fresh f join head on head.endpoint = f.endpoint`,
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
