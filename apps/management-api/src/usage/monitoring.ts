import { Problem } from '@posthaste/runtime';
import type { Draft } from '../changes/changes.js';
import { SECONDS_PER_CREDIT } from './credits.js';

/**
 * Which accounts are monitored, and the ledger of it. An account is monitored exactly while it has a period without an
 * end in `config.monitoring_period`: the connections to sources and the bill read the same row.
 *
 *   not monitored --(the configuration asks for it, and the tenant has a whole credit left)--> monitored
 *   monitored --(the configuration no longer asks for it)--> not monitored
 *   monitored --(the tenant's credits are used up)--> not monitored, until something is started or credits are added
 *
 * What the configuration asks for is decided by the view `config.to_be_monitored`. Every write of an endpoint or a source
 * settles its account in its own transaction, under the account's lock (`EntityKind.follow`); so no way of enabling,
 * disabling or deleting can forget to.
 */
export interface Monitoring {
  monitored: boolean;
  since: Date | null;
}

/** Whatever runs SQL: a DataSource, or the EntityManager of a change. */
export interface Queries {
  query<T>(sql: string, parameters?: unknown[]): Promise<T>;
}

/** Whoever keeps connections to sources listens to this. */
export const MONITORING_CHANNEL = 'config_monitoring';

/** Whether the account is monitored now. */
export async function stateOf(queries: Queries, account: string): Promise<Monitoring> {
  const [open] = await queries.query<{ started_at: Date }[]>(
    'select started_at from config.monitoring_period where account = $1 and ended_at is null',
    [account],
  );
  return { monitored: open !== undefined, since: open?.started_at ?? null };
}

/** Whether the tenant may start monitoring: it has no limit, or a whole credit left. */
export async function hasCredits(queries: Queries, tenant: string, now: Date): Promise<boolean> {
  const short = await queries.query<unknown[]>(`${tenantsWith('< 1')} and t.id = $3`, [
    now,
    SECONDS_PER_CREDIT,
    tenant,
  ]);
  return short.length === 0;
}

/** Tenants by how many credits they have left. $1 now, $2 seconds per credit. */
const tenantsWith = (left: string): string => `
  select t.id from config.tenant t
   where t.monitoring_credits is not null and t.deleted_at is null
     and t.monitoring_credits - (
       select coalesce(sum(extract(epoch from coalesce(p.ended_at, greatest($1, p.started_at)) - p.started_at)), 0)
              / $2::float8
         from config.monitoring_period p where p.tenant = t.id) ${left}`;

/** What goes on goes on to the last of its credits. */
export const EXHAUSTED = tenantsWith('<= 0');

/**
 * Opens or ends the account's period as its configuration now asks, in the transaction of the change, which holds the
 * account's lock. A change that `starts` something is refused with 402 when there are no credits for it; any other
 * leaves the account unmonitored.
 */
export async function settleMonitoring(
  { manager, at }: Draft,
  { account, tenant }: { account: string; tenant: string },
  starts: boolean,
): Promise<void> {
  const [asked] = await manager.query<[{ wanted: boolean; open: boolean; unsynced: boolean }]>(
    `select exists (select 1 from config.to_be_monitored where account = $1) as wanted,
            exists (select 1 from config.monitoring_period where account = $1 and ended_at is null) as open,
            exists (
              select 1 from config.source s join config.source_stream st using (account)
               where s.account = $1 and s.deleted_at is null and s.sync_url is not null and st.synced_at is null
            ) as unsynced`,
    [account],
  );
  if (asked.wanted === asked.open) {
    // What is asked for of a source that is read already may now be more.
    if (asked.open && asked.unsynced) await tellConnections(manager);
    return;
  }
  if (!asked.wanted) {
    await manager.query(
      `update config.monitoring_period set ended_at = greatest(started_at, $2)
        where account = $1 and ended_at is null`,
      [account, at],
    );
  } else if (await hasCredits(manager, tenant, at)) {
    await manager.query(
      'insert into config.monitoring_period (tenant, account, started_at) values ($1, $2, $3)',
      [tenant, account, at],
    );
  } else if (starts) {
    throw new Problem('insufficient_credits', 'The credits for monitoring are used up; nothing was changed.');
  } else return;
  await tellConnections(manager);
}

/** At commit: what is monitored, or a source, has changed. */
export async function tellConnections(queries: Queries): Promise<void> {
  await queries.query(`select pg_notify('${MONITORING_CHANNEL}', '')`);
}
