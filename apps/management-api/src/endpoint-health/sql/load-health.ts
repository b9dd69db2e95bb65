import type pg from 'pg';
import type { EndpointHealth, HealthRules } from '../endpoint-health.js';

/** An endpoint that is there, how it has been answering, and what its health is judged by. */
export interface JudgedEndpoint {
  endpoint: string;
  health: EndpointHealth | null;
  rules: HealthRules;
  /** Somebody is to be told about it: its tenant has operator accounts, and its own is none of them. */
  isWatched: boolean;
}

const LOAD = `
  select e.id as endpoint, e.auto_disable as "autoDisable",
         coalesce(floor(extract(epoch from e.health_since) * 1000), 0)::bigint as "countsFrom",
         not a.receives_operator_events and exists (
           select from config.account o
            where o.tenant = e.tenant and o.receives_operator_events and o.deleted_at is null) as "isWatched",
         h.endpoint is not null as "isKnown", h.failing_since as "failingSince", h.last_success_at as "lastSuccessAt",
         h.last_failure_at as "lastFailureAt", h.failures, h.stage_hours as "stageHours", h.is_warned as "isWarned"
    from config.endpoint e
    join config.account a on a.id = e.account
    left join health.endpoint h on h.endpoint = e.id
   where e.id = any($1::text[]) and e.deleted_at is null`;

type Row = EndpointHealth & HealthRules & { endpoint: string; isWatched: boolean; isKnown: boolean };

/** Those of the endpoints that are still there. */
export async function loadHealth(pool: pg.Pool, endpoints: string[]): Promise<JudgedEndpoint[]> {
  const { rows } = await pool.query<Row>({ name: 'load-health', text: LOAD, values: [endpoints] });
  return rows.map(({ endpoint, autoDisable, countsFrom, isWatched, isKnown, ...health }) => ({
    endpoint,
    health: isKnown ? health : null,
    rules: { autoDisable, countsFrom },
    isWatched,
  }));
}
