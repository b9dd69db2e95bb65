import { isLaneReason } from '@posthaste/delivery';
import type pg from 'pg';
import type { OwedAttempt } from '../owed-attempt.js';

/**
 * Writes what is owed, over what was owed before. Deliveries must not repeat. Those of an ordering key are behind,
 * until `letFirstGo` has looked at the key.
 */
export async function upsertOwed(client: pg.PoolClient, rows: OwedAttempt[]): Promise<void> {
  await client.query({
    name: 'upsert-owed',
    text: `insert into schedule.due
             (delivery, message, tenant, account, endpoint, attempt, due_at, trigger, reason, parked,
              partition, ordering_key, position, key_state)
           select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
             $8::text[], $9::text[], $10::boolean[],
             $11::int[], $12::text[], $13::bigint[], $14::text[])
           on conflict (delivery) do update set
             attempt = excluded.attempt, due_at = excluded.due_at, trigger = excluded.trigger,
             reason = excluded.reason, parked = excluded.parked, partition = excluded.partition,
             ordering_key = excluded.ordering_key, position = excluded.position, key_state = excluded.key_state`,
    values: [
      rows.map((row) => row.delivery),
      rows.map((row) => row.message),
      rows.map((row) => row.tenant),
      rows.map((row) => row.account),
      rows.map((row) => row.endpoint),
      rows.map((row) => row.attempt),
      rows.map((row) => row.dueAt),
      rows.map((row) => row.trigger),
      rows.map((row) => row.reason),
      rows.map(waitsForLane),
      rows.map(({ ordering }) => ordering?.partition ?? null),
      rows.map(({ ordering }) => ordering?.key ?? null),
      rows.map(({ ordering }) => ordering?.position ?? null),
      rows.map(({ ordering }) => ordering && (ordering.blocks ? 'blocking' : 'behind')),
    ],
  });
}

/** True when it is to be released as its lane has room, false when it is to be released at its time. */
export function waitsForLane({ reason }: OwedAttempt): boolean {
  return reason !== null && isLaneReason(reason);
}
