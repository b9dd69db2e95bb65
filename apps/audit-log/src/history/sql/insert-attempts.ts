import type { DeliveryAttempted, DeliveryDeferred } from '@posthaste/contracts';
import { boolArray, byteaArray, float8Array, int4Array, int8Array, textArray } from '@posthaste/pg-arrays';
import type pg from 'pg';
import { COUNT_MINUTES, deleteEmptyMinutes, type LeftMinute } from './count-minutes.js';

/**
 * One row per attempt. One that was made again, because a crash came before its commit, keeps its first report, unless
 * only the second was a success: what delivered it must not be missing.
 *
 * The same statement counts what it wrote, and the deferrals beside it, in the endpoints' minutes: only it knows which
 * attempts are new.
 */
export async function insertAttempts(
  client: pg.PoolClient,
  reports: DeliveryAttempted[],
  deferrals: DeliveryDeferred[],
): Promise<void> {
  const events = oneReportEach(reports);
  const { rows: left } = await client.query<LeftMinute>({
    name: 'insert-attempts',
    text: `with written as (
           insert into history.attempt (delivery, number, id, tenant, account, endpoint, trigger, started_at, duration_ms,
             next_attempt_at, endpoint_version, profile, outcome, error_class, error_message, address, request_url,
             request_headers, response_status, response_headers, response_truncated, timings, tls, response_body)
           select a.delivery, a.number, a.id, a.tenant, a.account, a.endpoint, a.trigger, a.started_at, a.duration_ms,
             a.next_attempt_at, a.endpoint_version, a.profile, a.outcome, a.error_class, a.error_message, a.address, a.request_url,
             a.request_headers, a.response_status, a.response_headers, a.response_truncated, a.timings, a.tls,
             a.response_body
           from unnest($1::bytea[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::bigint[],
             $8::float8[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
             $16::text[], $17::text[], $18::int[], $19::text[], $20::boolean[], $21::text[], $22::text[], $23::text[],
             $24::text[])
             as a (response_body, delivery, number, id, tenant, trigger, started_at, duration_ms, next_attempt_at,
               endpoint_version, profile, outcome, error_class, error_message, address, request_url, request_headers,
               response_status, response_headers, response_truncated, timings, tls, account, endpoint)
           on conflict (delivery, number) do update set
             (trigger, started_at, duration_ms, next_attempt_at, endpoint_version, profile, outcome, error_class,
               error_message, address, request_url, request_headers, response_status, response_headers,
               response_truncated, timings, tls, response_body)
             = (excluded.trigger, excluded.started_at, excluded.duration_ms, excluded.next_attempt_at,
               excluded.endpoint_version, excluded.profile, excluded.outcome, excluded.error_class,
               excluded.error_message, excluded.address, excluded.request_url, excluded.request_headers,
               excluded.response_status, excluded.response_headers, excluded.response_truncated, excluded.timings, excluded.tls,
               excluded.response_body)
             where excluded.outcome = 'succeeded' and attempt.outcome = 'failed'
           returning delivery, number, tenant, endpoint, started_at, duration_ms, outcome, xmax = 0 as is_new
         ), ${COUNT_MINUTES}`,
    values: [
      byteaArray(events.map(({ response }) => (response ? Buffer.from(response.body, 'base64') : null))),
      textArray(events.map((event) => event.delivery)),
      int4Array(events.map((event) => event.attempt)),
      textArray(events.map((event) => event.id)),
      textArray(events.map((event) => event.tenant)),
      textArray(events.map((event) => event.trigger)),
      int8Array(events.map((event) => event.startedAt)),
      float8Array(events.map((event) => event.timings.totalMs)),
      int8Array(events.map(({ decision }) => (decision.kind === 'retry' ? decision.at : null))),
      int8Array(events.map((event) => event.endpointVersion)),
      textArray(events.map((event) => event.profile)),
      textArray(events.map((event) => event.outcome)),
      textArray(events.map((event) => event.error?.class ?? null)),
      // The one text a receiver may have written part of; PostgreSQL cannot hold a NUL.
      textArray(events.map((event) => event.error?.message.replaceAll('\0', '') ?? null)),
      textArray(events.map((event) => event.address ?? null)),
      textArray(events.map((event) => event.request.url)),
      textArray(events.map((event) => JSON.stringify(event.request.headers))),
      int4Array(events.map((event) => event.response?.status ?? null)),
      textArray(events.map(({ response }) => (response ? JSON.stringify(response.headers) : null))),
      boolArray(events.map((event) => event.response?.bodyTruncated ?? null)),
      textArray(events.map((event) => JSON.stringify(event.timings))),
      textArray(events.map(({ tls }) => (tls ? JSON.stringify(tls) : null))),
      textArray(events.map((event) => event.account)),
      textArray(events.map((event) => event.endpoint)),
      textArray(deferrals.map((event) => event.tenant)),
      textArray(deferrals.map((event) => event.endpoint)),
      int8Array(deferrals.map((event) => event.at)),
    ],
  });
  if (left.length > 0) await deleteEmptyMinutes(client, left);
}

/** A statement may meet each row once. */
function oneReportEach(reports: DeliveryAttempted[]): DeliveryAttempted[] {
  const chosen = new Map<string, DeliveryAttempted>();
  for (const report of reports) {
    const earlier = chosen.get(report.id);
    if (!earlier || (earlier.outcome === 'failed' && report.outcome === 'succeeded'))
      chosen.set(report.id, report);
  }
  return [...chosen.values()];
}
