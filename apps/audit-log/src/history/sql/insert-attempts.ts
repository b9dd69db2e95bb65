import type { DeliveryAttempted, DeliveryDeferred } from '@posthaste/contracts';
import type pg from 'pg';
import { COUNT_MINUTES, deleteEmptyMinutes, type LeftMinute } from './count-minutes.js';
import { packBytes } from './packed-bytes.js';

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
  const bodies = packBytes(
    events.map(({ response }) => (response ? Buffer.from(response.body, 'base64') : null)),
  );
  const { rows: left } = await client.query<LeftMinute>({
    name: 'insert-attempts',
    text: `with written as (
           insert into history.attempt (delivery, number, id, tenant, account, endpoint, trigger, started_at, duration_ms,
             next_attempt_at, endpoint_version, profile, outcome, error_class, error_message, address, request_url,
             request_headers, response_status, response_headers, response_truncated, timings, tls, response_body)
           select a.delivery, a.number, a.id, a.tenant, a.account, a.endpoint, a.trigger, a.started_at, a.duration_ms,
             a.next_attempt_at, a.endpoint_version, a.profile, a.outcome, a.error_class, a.error_message, a.address, a.request_url,
             a.request_headers, a.response_status, a.response_headers, a.response_truncated, a.timings, a.tls,
             substr($1::bytea, a.start, a.bytes)
           from unnest($2::int[], $3::int[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::bigint[],
             $10::float8[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[],
             $17::text[], $18::text[], $19::text[], $20::int[], $21::text[], $22::boolean[], $23::text[], $24::text[],
             $25::text[], $26::text[])
             as a (start, bytes, delivery, number, id, tenant, trigger, started_at, duration_ms, next_attempt_at,
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
      bodies.blob,
      bodies.starts,
      bodies.bytes,
      events.map((event) => event.delivery),
      events.map((event) => event.attempt),
      events.map((event) => event.id),
      events.map((event) => event.tenant),
      events.map((event) => event.trigger),
      events.map((event) => event.startedAt),
      events.map((event) => event.timings.totalMs),
      events.map(({ decision }) => (decision.kind === 'retry' ? decision.at : null)),
      events.map((event) => event.endpointVersion),
      events.map((event) => event.profile),
      events.map((event) => event.outcome),
      events.map((event) => event.error?.class ?? null),
      // The one text a receiver may have written part of; PostgreSQL cannot hold a NUL.
      events.map((event) => event.error?.message.replaceAll('\0', '') ?? null),
      events.map((event) => event.address ?? null),
      events.map((event) => event.request.url),
      events.map((event) => JSON.stringify(event.request.headers)),
      events.map((event) => event.response?.status ?? null),
      events.map(({ response }) => (response ? JSON.stringify(response.headers) : null)),
      events.map((event) => event.response?.bodyTruncated ?? null),
      events.map((event) => JSON.stringify(event.timings)),
      events.map(({ tls }) => (tls ? JSON.stringify(tls) : null)),
      events.map((event) => event.account),
      events.map((event) => event.endpoint),
      deferrals.map((event) => event.tenant),
      deferrals.map((event) => event.endpoint),
      deferrals.map((event) => event.at),
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
