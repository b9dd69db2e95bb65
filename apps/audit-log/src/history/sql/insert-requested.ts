import type { DeliveryRequested } from '@posthaste/contracts';
import type pg from 'pg';

/** One row per attempt asked for; asked for again, because the first request was cancelled, it is the last one's. */
export async function insertRequested(client: pg.PoolClient, requests: DeliveryRequested[]): Promise<void> {
  const events = latestOfEach(requests);
  await client.query({
    name: 'insert-requested',
    text: `insert into history.requested_attempt as r (delivery, number, requested_at, requested_by, replay)
           select * from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[])
           on conflict (delivery, number) do update set
             (requested_at, requested_by, replay) = (excluded.requested_at, excluded.requested_by, excluded.replay)
             where excluded.requested_at > r.requested_at`,
    values: [
      events.map((event) => event.delivery),
      events.map((event) => event.attempt),
      events.map((event) => event.at),
      events.map((event) => event.by),
      events.map((event) => event.replay ?? null),
    ],
  });
}

/** A statement may meet each row once. */
function latestOfEach(requests: DeliveryRequested[]): DeliveryRequested[] {
  const latest = new Map<string, DeliveryRequested>();
  for (const request of requests) {
    const key = `${request.delivery}/${request.attempt}`;
    const earlier = latest.get(key);
    if (!earlier || request.at > earlier.at) latest.set(key, request);
  }
  return [...latest.values()];
}
