import type { EndpointMode, WireProfile } from '@posthaste/contracts';
import type { Filter } from '@posthaste/delivery';
import type pg from 'pg';

/** An endpoint as far as routing looks at it. */
export interface Candidate extends Filter {
  id: string;
  version: number;
  mode: EndpointMode;
  profile: WireProfile;
}

/** An account's endpoints as they were at one configuration version of the account. */
export interface AccountRouting {
  account: string;
  config: number;
  uid: string;
  name: string;
  candidates: Candidate[];
}

// One statement is one snapshot: the version and the endpoints belong together.
const LOAD = `
  select a.id as account, a.config_version as config, a.uid, a.name,
         e.id, e.version, e.mode, e.profile, e.enabled, e.event_types, e.channels
    from unnest($1::text[]) as ask (id)
    join config.account a on a.id = ask.id
    left join config.endpoint e on e.account = a.id and e.deleted_at is null
   order by a.id, e.created_at, e.id`;

interface Row {
  account: string;
  config: number;
  uid: string;
  name: string;
  id: string | null;
  version: number;
  mode: EndpointMode;
  profile: WireProfile;
  enabled: boolean;
  event_types: string[];
  channels: string[];
}

/** Null where the account is gone. */
export async function loadAccountRouting(
  pool: pg.Pool,
  accounts: readonly string[],
  timeoutMs: number,
): Promise<(AccountRouting | null)[]> {
  const query = { name: 'publish-routing', text: LOAD, values: [accounts], query_timeout: timeoutMs };
  const { rows } = await pool.query<Row>(query);
  const found = new Map<string, AccountRouting>();
  for (const { account, config, uid, name, id, event_types, ...endpoint } of rows) {
    const routing = found.get(account) ?? { account, config, uid, name, candidates: [] };
    found.set(account, routing);
    if (id !== null) routing.candidates.push({ id, eventTypes: event_types, ...endpoint });
  }
  return accounts.map((account) => found.get(account) ?? null);
}
