import type pg from 'pg';
import type { EndpointHealth } from '../endpoint-health.js';

/** Writes how endpoints have been answering. Endpoints must not repeat. */
export async function upsertHealth(
  client: pg.PoolClient,
  rows: ReadonlyMap<string, EndpointHealth>,
): Promise<void> {
  const healths = [...rows.values()];
  await client.query({
    name: 'upsert-health',
    text: `insert into health.endpoint
             (endpoint, failing_since, last_success_at, last_failure_at, failures, stage_hours, is_warned)
           select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::boolean[])
           on conflict (endpoint) do update set
             failing_since = excluded.failing_since, last_success_at = excluded.last_success_at,
             last_failure_at = excluded.last_failure_at, failures = excluded.failures,
             stage_hours = excluded.stage_hours, is_warned = excluded.is_warned`,
    values: [
      [...rows.keys()],
      healths.map((row) => row.failingSince),
      healths.map((row) => row.lastSuccessAt),
      healths.map((row) => row.lastFailureAt),
      healths.map((row) => row.failures),
      healths.map((row) => row.stageHours),
      healths.map((row) => row.isWarned),
    ],
  });
}
