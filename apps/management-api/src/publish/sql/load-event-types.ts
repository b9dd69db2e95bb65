import type pg from 'pg';

/** The names a tenant's catalogue holds at one configuration version of the tenant; archived ones are not in it. */
export interface Catalogue {
  tenant: string;
  config: number;
  names: ReadonlySet<string>;
}

const LOAD = `
  select t.id as tenant, t.config_version as config, array_remove(array_agg(e.name), null) as names
    from unnest($1::text[]) as ask (id)
    join config.tenant t on t.id = ask.id
    left join config.event_type e on e.tenant = t.id and e.deleted_at is null and not e.archived
   group by t.id`;

/** Null where the tenant is gone. */
export async function loadEventTypes(
  pool: pg.Pool,
  tenants: readonly string[],
  timeoutMs: number,
): Promise<(Catalogue | null)[]> {
  const query = { name: 'publish-event-types', text: LOAD, values: [tenants], query_timeout: timeoutMs };
  const { rows } = await pool.query<{ tenant: string; config: number; names: string[] }>(query);
  const found = new Map(
    rows.map(({ tenant, config, names }) => [tenant, { tenant, config, names: new Set(names) }] as const),
  );
  return tenants.map((tenant) => found.get(tenant) ?? null);
}
