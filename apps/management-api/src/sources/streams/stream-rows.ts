import type { SourceState, WrappedKey } from '@posthaste/contracts';
import type pg from 'pg';
import { MONITORING_CHANNEL } from '../../usage/monitoring.js';
import type { SealedHeaders } from '../source-headers.js';
import { ACCEPTED_INVITATION } from './invitations.js';

/**
 * The rows of `config.source_stream`: who reads which source until when, how that goes, and how far it came. A row is
 * its owner's for the length of a lease, by PostgreSQL's clock; whatever its owner writes names the owner, so that
 * one who has lost it writes nothing.
 */
export const LEASE_MS = 8_000;

/** A source as a process takes it up. */
export interface TakenSource {
  account: string;
  tenant: string;
  version: number;
  stream: string;
  url: string;
  syncUrl: string | null;
  headers: SealedHeaders | null;
  dataKeys: WrappedKey[];
  lastEventId: string | null;
  wantsSync: boolean;
}

const IS_MONITORED = `exists (
  select 1 from config.monitoring_period p where p.account = st.account and p.ended_at is null)`;
/** An endpoint asks for invitations, and whom the account knows has not been listed. */
const WANTS_SYNC = `s.sync_url is not null and st.synced_at is null and exists (
  select 1 from config.endpoint e
   where e.account = st.account and e.deleted_at is null and e.enabled
     and (e.event_types = '{}' or '${ACCEPTED_INVITATION}' = any(e.event_types)))`;
const LEASE = `now() + interval '${LEASE_MS} milliseconds'`;

export interface Renewed {
  account: string;
  version: number;
  wantsSync: boolean;
}

/** Renews every lease of the owner that is still wanted; answers those with the source as it is now. */
export async function renewLeases(pool: pg.Pool, owner: string): Promise<Renewed[]> {
  const { rows } = await pool.query<Renewed>(
    `update config.source_stream st set lease_until = ${LEASE}
       from config.source s
      where st.owner = $1 and s.account = st.account and s.deleted_at is null and ${IS_MONITORED}
      returning st.account, s.version, ${WANTS_SYNC} as "wantsSync"`,
    [owner],
  );
  return rows;
}

/** Takes up to so many sources that are to be read and that nobody reads, or whose reader has fallen silent. */
export async function takeSources(pool: pg.Pool, owner: string, most: number): Promise<TakenSource[]> {
  const { rows } = await pool.query<TakenSource>(
    `with free as (
       select st.account from config.source_stream st
        where (st.lease_until is null or st.lease_until < now()) and ${IS_MONITORED}
        order by st.account limit $2 for update skip locked
     )
     update config.source_stream st
        set owner = $1, lease_until = ${LEASE}, state = '{"status":"connecting"}'
       from free, config.source s, config.tenant t
      where st.account = free.account and s.account = st.account and s.deleted_at is null and t.id = s.tenant
      returning st.account, s.tenant, s.version, st.stream, s.url, s.sync_url as "syncUrl", s.headers,
                t.data_keys as "dataKeys", st.last_event_id as "lastEventId",
                ${WANTS_SYNC} as "wantsSync"`,
    [owner, most],
  );
  return rows;
}

/** Gives a lease back, and tells those who may take it, so that they need not wait for its end. */
export async function giveBack(pool: pg.Pool, owner: string, account: string): Promise<void> {
  await pool.query(
    `with freed as (
       update config.source_stream
          set owner = null, lease_until = null, state = '{"status":"connecting"}'
        where owner = $1 and account = $2 returning account
     )
     select pg_notify('${MONITORING_CHANNEL}', '') from freed`,
    [owner, account],
  );
}

export async function saveState(
  pool: pg.Pool,
  owner: string,
  account: string,
  state: SourceState,
): Promise<void> {
  await pool.query('update config.source_stream set state = $3 where owner = $1 and account = $2', [
    owner,
    account,
    JSON.stringify(state),
  ]);
}

export interface Progress {
  lastEventId: string | null;
  events: number;
  dropped: number;
}

/** Notes how far the stream is published; false when it is no longer the owner's to say. */
export async function saveProgress(
  pool: pg.Pool,
  owner: string,
  { account, stream }: TakenSource,
  { lastEventId, events, dropped }: Progress,
): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update config.source_stream
        set last_event_id = coalesce($4, last_event_id), dropped_events = dropped_events + $5,
            last_event_at = case when $6 > 0 then now() else last_event_at end
      where owner = $1 and account = $2 and stream = $3`,
    [owner, account, stream, lastEventId, dropped, events],
  );
  return rowCount === 1;
}

/** Whether the lease holds at this moment, by the clock that will let another have it. */
export async function isHeld(
  pool: pg.Pool,
  owner: string,
  { account, stream }: TakenSource,
): Promise<boolean> {
  const { rowCount } = await pool.query(
    'select 1 from config.source_stream where owner = $1 and account = $2 and stream = $3 and lease_until > now()',
    [owner, account, stream],
  );
  return rowCount === 1;
}

export async function saveSynced(
  pool: pg.Pool,
  owner: string,
  { account, stream }: TakenSource,
): Promise<void> {
  await pool.query(
    'update config.source_stream set synced_at = now() where owner = $1 and account = $2 and stream = $3',
    [owner, account, stream],
  );
}

/** Which of the names the account's connections go by. */
export async function knownAmong(
  pool: pg.Pool,
  account: string,
  names: readonly string[],
): Promise<Set<string>> {
  const { rows } = await pool.query<{ connection: string }>(
    'select connection from config.known_connection where account = $1 and connection = any($2)',
    [account, names],
  );
  return new Set(rows.map(({ connection }) => connection));
}

export async function rememberConnections(
  pool: pg.Pool,
  account: string,
  names: readonly string[],
): Promise<void> {
  await pool.query(
    `insert into config.known_connection (account, connection)
     select $1, name from unnest($2::text[]) as name on conflict do nothing`,
    [account, names],
  );
}
