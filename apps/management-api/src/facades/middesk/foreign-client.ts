import type { EntityManager } from 'typeorm';
import type { EndpointRow } from '../../endpoints/endpoint.entity.js';
import { fieldProblem } from '../../http/refusals.js';

/**
 * A client at a token endpoint belongs to the account that named it first. All webhooks sign with one key, so whoever
 * names another account's client would be given that account's tokens, and have them sent to a URL of their own.
 *
 * A query makes no other token endpoint.
 */
export async function refuseForeignClient(
  manager: EntityManager,
  { oauth, account }: EndpointRow,
): Promise<void> {
  if (oauth?.method !== 'private_key_jwt') return;
  const [endpoint] = oauth.tokenUrl.split('?', 1);
  // Two that name it at the same moment do so one after the other.
  await manager.query(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [
    `${oauth.clientId} at ${endpoint}`,
  ]);
  const taken = await manager.query<unknown[]>(
    `select 1 from config.endpoint
      where oauth->>'clientId' = $1 and oauth->>'method' = 'private_key_jwt' and deleted_at is null
        and split_part(oauth->>'tokenUrl', '?', 1) = $2 and account <> $3 and profile = 'middesk'
      limit 1`,
    [oauth.clientId, endpoint, account],
  );
  if (taken.length === 0) return;
  const message = 'is the client of another account at this token endpoint';
  throw fieldProblem([{ pointer: '/oidc_client_id', code: 'taken', message }]);
}
