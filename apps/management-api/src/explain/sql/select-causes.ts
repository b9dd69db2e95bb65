import type { AuditEntry } from '@posthaste/contracts';
import type { EntityManager } from 'typeorm';

/** Since when has this field of this version been what it is? */
export interface CauseAsk {
  endpoint: string;
  version: number;
  /** A name in the stored state. */
  field: string;
}

export interface Cause {
  endpoint: string;
  version: number;
  at: Date;
  entry: AuditEntry;
}

/** The change that gave each field the value it has at the version: the one after the last that had another. */
export async function selectCauses(manager: EntityManager, asks: CauseAsk[]): Promise<Map<string, Cause>> {
  if (asks.length === 0) return new Map();
  const rows = await manager.query<Cause[]>(
    `select ask.endpoint, cause.version, cause.at, audit.entry
       from unnest($1::text[], $2::int[], $3::text[]) as ask (endpoint, version, field)
       join config.entity_version known on known.entity_id = ask.endpoint and known.version = ask.version
       left join lateral (
         select version from config.entity_version v
          where v.entity_id = ask.endpoint and v.version < ask.version
            and v.state -> ask.field is distinct from known.state -> ask.field
          order by version desc limit 1
       ) other on true
       join config.entity_version cause
         on cause.entity_id = ask.endpoint and cause.version = coalesce(other.version, 0) + 1
       join config.audit_entry audit on audit.id = cause.audit_id`,
    [
      asks.map(({ endpoint }) => endpoint),
      asks.map(({ version }) => version),
      asks.map(({ field }) => field),
    ],
  );
  return new Map(rows.map((row) => [row.endpoint, row]));
}
