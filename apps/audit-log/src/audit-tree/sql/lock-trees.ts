import type { AuditEntry } from '@posthaste/contracts';
import type pg from 'pg';
import type { StoredHead } from '../tree.js';

/** The heads of the entries' tenants, held until the transaction ends, and which of the entries are in already. */
export async function lockTrees(
  client: pg.PoolClient,
  entries: Pick<AuditEntry, 'tenant' | 'id'>[],
): Promise<{ trees: Map<string, StoredHead>; known: Set<string> }> {
  const tenants = [...new Set(entries.map(({ tenant }) => tenant))];
  const heads = await client.query<StoredHead & { tenant: string }>(
    'select tenant, size, frontier, checkpoint from audit.head where tenant = any($1) order by tenant for update',
    [tenants],
  );
  const known = await client.query<{ id: string }>(
    `select e.id from audit.entry e
     join unnest($1::text[], $2::text[]) as given (tenant, id) using (tenant, id)`,
    [entries.map(({ tenant }) => tenant), entries.map(({ id }) => id)],
  );
  return {
    trees: new Map(heads.rows.map(({ tenant, ...head }) => [tenant, head])),
    known: new Set(known.rows.map(({ id }) => id)),
  };
}
