import { calledAs } from '@posthaste/egress';
import type { EntityManager } from 'typeorm';
import { fieldProblem } from '../http/refusals.js';
import type { EndpointRow } from './endpoint.entity.js';

/**
 * Of those that sign with a key many endpoints share, a client at a token endpoint belongs to the account that named it
 * first. Whoever else named it would be given that account's tokens, and have them sent to a URL of their own.
 *
 * Neither a query nor another way of writing it makes another token endpoint.
 */
export async function refuseForeignClient(
  manager: EntityManager,
  { oauth, account }: Pick<EndpointRow, 'oauth' | 'account'>,
): Promise<void> {
  // The key before signs on for a while. Shared keys have certificates; endpoints without one ask nothing.
  const keys = [oauth?.key?.public, oauth?.key?.previous?.public].filter((key) => key?.x5c !== undefined);
  if (!oauth || keys.length === 0) return;
  const endpoint = endpointOf(oauth.tokenUrl);
  // Two that name it at the same moment do so one after the other.
  await manager.query(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [
    `${oauth.clientId} at ${endpoint}`,
  ]);
  const others = await manager.query<{ url: string }[]>(
    `select distinct split_part(e.oauth->>'tokenUrl', '?', 1) as url from config.endpoint e
       join config.shared_key theirs on theirs.kid = e.oauth->'key'->'public'->>'kid'
      where e.oauth->>'clientId' = $1 and e.oauth->>'method' = 'private_key_jwt' and e.deleted_at is null
        and e.account <> $2 and exists (select 1 from config.shared_key ours where ours.kid = any($3))`,
    [oauth.clientId, account, keys.map((key) => key?.kid)],
  );
  if (!others.some(({ url }) => endpointOf(url) === endpoint)) return;
  const message = 'is the client of another account at this token endpoint';
  throw fieldProblem([{ pointer: '/oauth/client_id', code: 'taken', message }]);
}

function endpointOf(tokenUrl: string): string {
  return calledAs(tokenUrl.split('?', 1)[0] ?? tokenUrl);
}
