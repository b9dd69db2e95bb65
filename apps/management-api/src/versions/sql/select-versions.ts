import type { AuditEntry } from '@posthaste/contracts';
import type { EntityManager } from 'typeorm';
import type { StoredEndpoint } from '../stored-endpoint.js';

/** An endpoint after one of its changes, and before it. */
export interface VersionRow {
  version: number;
  at: Date;
  state: StoredEndpoint;
  /** Null for its first. */
  before: StoredEndpoint | null;
  entry: AuditEntry;
}

/** The newest first: of those below `below`, at most `limit`. */
export async function selectVersions(
  manager: EntityManager,
  endpoint: string,
  below: number | null,
  limit: number,
): Promise<VersionRow[]> {
  return manager.query<VersionRow[]>(
    `select v.version, v.at, v.state, p.state as before, a.entry
       from config.entity_version v
       join config.audit_entry a on a.id = v.audit_id
       left join config.entity_version p on p.entity_id = v.entity_id and p.version = v.version - 1
      where v.entity_id = $1 and ($2::int is null or v.version < $2)
      order by v.version desc
      limit $3`,
    [endpoint, below, limit],
  );
}

/** The version with this number, or the newest of those that were made at an instant; undefined when there is none. */
export async function selectVersion(
  manager: EntityManager,
  endpoint: string,
  which: { version: number } | { at: Date },
): Promise<Pick<VersionRow, 'version' | 'at' | 'state'> | undefined> {
  const [condition, value] =
    'version' in which ? ['version = $2', which.version] : ['at <= $2::timestamptz', which.at];
  const [row] = await manager.query<Pick<VersionRow, 'version' | 'at' | 'state'>[]>(
    `select version, at, state from config.entity_version
      where entity_id = $1 and ${condition} order by version desc limit 1`,
    [endpoint, value],
  );
  return row;
}
