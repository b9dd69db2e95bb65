import { boolArray, int4Array, int8Array, textArray } from '@posthaste/pg-arrays';
import type pg from 'pg';
import type { DeliveryRow } from '../delivery-row.js';

const STATE = [
  'status',
  'attempts',
  'next_attempt_at',
  'settled_at',
  'last_status_code',
  'last_error_class',
  'reason',
];

/**
 * Writes folded deliveries, and marks those that did not simply arrive. A pending one never overwrites what happened,
 * which may be known already: it only says that the message was routed, and where. The first position stays. Ids must not
 * repeat.
 */
export async function upsertDeliveries(client: pg.PoolClient, rows: DeliveryRow[]): Promise<void> {
  await client.query({
    name: 'upsert-deliveries',
    text: `insert into history.delivery as d (id, message, tenant, account, endpoint, event_type, accepted_at, status,
             attempts, next_attempt_at, settled_at, last_status_code, last_error_class, reason, position, troubled)
           select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
             $8::text[], $9::int[], $10::bigint[], $11::bigint[], $12::int[], $13::text[], $14::text[], $15::text[],
             $16::boolean[])
           on conflict (id) do update set
             ${STATE.map((column) => `${column} = case when excluded.status = 'pending' then d.${column} else excluded.${column} end`).join(', ')},
             position = coalesce(d.position, excluded.position),
             troubled = coalesce(d.troubled, excluded.troubled)
           where excluded.status <> 'pending' or (d.position is null and excluded.position is not null)`,
    values: [
      textArray(rows.map((row) => row.id)),
      textArray(rows.map((row) => row.message)),
      textArray(rows.map((row) => row.tenant)),
      textArray(rows.map((row) => row.account)),
      textArray(rows.map((row) => row.endpoint)),
      textArray(rows.map((row) => row.eventType)),
      int8Array(rows.map((row) => row.acceptedAt)),
      textArray(rows.map((row) => row.status)),
      int4Array(rows.map((row) => row.attempts)),
      int8Array(rows.map((row) => row.nextAttemptAt)),
      int8Array(rows.map((row) => row.settledAt)),
      int4Array(rows.map((row) => row.lastStatusCode)),
      textArray(rows.map((row) => row.lastErrorClass)),
      textArray(rows.map((row) => row.reason)),
      textArray(rows.map((row) => row.position)),
      boolArray(rows.map((row) => row.isTroubled || null)),
    ],
  });
}
