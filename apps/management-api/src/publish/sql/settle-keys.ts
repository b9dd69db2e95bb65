import type pg from 'pg';
import type { StoredResponse } from './claim-keys.js';

export interface Settlement {
  tenant: string;
  scope: string;
  key: string;
  /** Null: nothing came of it, and the next request with the key may try again under the same id. */
  response: StoredResponse | null;
}

const SETTLE = `
  update config.idempotency held
     set response = settled.response,
         running_until = case when settled.response is null then '-infinity' else held.running_until end
    from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) as settled (tenant, scope, key, response)
   where held.tenant = settled.tenant and held.scope = settled.scope and held.key = settled.key
     and held.response is null`;

export async function settleKeys(
  pool: pg.Pool,
  settlements: readonly Settlement[],
  timeoutMs: number,
): Promise<void[]> {
  const query = {
    name: 'publish-settle',
    text: SETTLE,
    values: [
      settlements.map(({ tenant }) => tenant),
      settlements.map(({ scope }) => scope),
      settlements.map(({ key }) => key),
      settlements.map(({ response }) => response && JSON.stringify(response)),
    ],
    query_timeout: timeoutMs,
  };
  await pool.query(query);
  return settlements.map(() => undefined);
}
