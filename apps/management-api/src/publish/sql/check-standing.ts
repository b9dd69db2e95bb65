import type pg from 'pg';
import type { Permissions } from '../../access/principal.js';

/** A key and the account it is used for. The account is named by our id or by the tenant's uid; the other is null. */
export interface StandingAsk {
  key: string;
  accountId: string | null;
  accountUid: string | null;
}

/** What is true of them now: the whole of what a publish must know before it may trust a cache. */
export interface Standing {
  tenant: string;
  digest: Buffer;
  /** The only account the key may be used for; null = all of the tenant's. */
  boundTo: string | null;
  permissions: Permissions;
  live: boolean;
  /** ms since 1970; for the clock of a process that cannot ask. */
  expiresAtMs: number | null;
  tenantConfig: number;
  eventTypePolicy: 'any' | 'known';
  /** Null: no such account in the key's tenant. */
  account: string | null;
  accountConfig: number | null;
}

/*
 * An account is found as the first one at or after its name in an index's order, and compared. Only one index has the
 * order, so the plan cannot take another: asked for by equality, while PostgreSQL knows nothing of the tables yet, all
 * that begin with the tenant look as good as the right one, and each ask would walk the tenant's accounts.
 */
const CHECK = `
  select ask.place::int as place, k.tenant, k.digest, k.account as bound_to, k.permissions,
         k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and t.deleted_at is null
           and (k.account is null or bound.id is not null) as live,
         (extract(epoch from k.expires_at) * 1000)::bigint as expires_at,
         t.config_version as tenant_config, t.event_type_policy, a.id as account, a.config_version as account_config
    from unnest($1::text[], $2::text[], $3::text[]) with ordinality as ask (key, account_id, account_uid, place)
    join config.api_key k on k.id = ask.key
    join config.tenant t on t.id = k.tenant
    left join lateral (
      select id, deleted_at from config.account where id >= k.account order by id limit 1
    ) bound on bound.id = k.account and bound.deleted_at is null
    left join lateral (
      (select id, tenant, uid, config_version, deleted_at from config.account
        where id >= ask.account_id order by id limit 1)
      union all
      (select id, tenant, uid, config_version, deleted_at from config.account
        where (tenant, uid) >= (k.tenant, ask.account_uid) and deleted_at is null order by tenant, uid limit 1)
    ) a on (a.id = ask.account_id or a.uid = ask.account_uid) and a.tenant = k.tenant and a.deleted_at is null`;

interface Row {
  place: number;
  tenant: string;
  digest: Buffer;
  bound_to: string | null;
  permissions: Permissions;
  live: boolean;
  expires_at: number | null;
  tenant_config: number;
  event_type_policy: 'any' | 'known';
  account: string | null;
  account_config: number | null;
}

/** One statement for all who ask; null where there is no such key. */
export async function checkStanding(
  pool: pg.Pool,
  asks: readonly StandingAsk[],
  timeoutMs: number,
): Promise<(Standing | null)[]> {
  const query = {
    name: 'publish-standing',
    text: CHECK,
    values: [
      asks.map(({ key }) => key),
      asks.map(({ accountId }) => accountId),
      asks.map(({ accountUid }) => accountUid),
    ],
    query_timeout: timeoutMs,
  };
  const { rows } = await pool.query<Row>(query);
  const found: (Standing | null)[] = asks.map(() => null);
  for (const row of rows) {
    found[row.place - 1] = {
      tenant: row.tenant,
      digest: row.digest,
      boundTo: row.bound_to,
      permissions: row.permissions,
      live: row.live,
      expiresAtMs: row.expires_at,
      tenantConfig: row.tenant_config,
      eventTypePolicy: row.event_type_policy,
      account: row.account,
      accountConfig: row.account_config,
    };
  }
  return found;
}
