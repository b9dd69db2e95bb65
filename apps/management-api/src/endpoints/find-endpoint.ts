import { isId, UID_PATTERN } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { type EntityManager, IsNull } from 'typeorm';
import { findAccount } from '../accounts/accounts.js';
import type { Reach } from '../access/principal.js';
import type { Draft } from '../changes/changes.js';
import { absent } from '../http/refusals.js';
import { EndpointRow } from './endpoint.entity.js';

/** How a request names an endpoint: by our id or the caller's uid, with or without the account it belongs to. */
export interface EndpointRef {
  account?: string | undefined;
  endpoint: string;
}

/** The endpoint within reach; `not_found` for a foreign or absent one alike. */
export async function findEndpoint(
  manager: EntityManager,
  reach: Reach,
  ref: EndpointRef,
): Promise<EndpointRow> {
  const row = await findEndpointOrNull(manager, reach, ref);
  if (!row) throw absent('endpoint', ':endpoint');
  return row;
}

/** The same, for what was: a deleted one too, by its id. */
export async function findEndpointEvenDeleted(
  manager: EntityManager,
  reach: Reach,
  ref: EndpointRef,
): Promise<EndpointRow> {
  const row = await findEndpointOrNull(manager, reach, ref, isId('endpoint', ref.endpoint));
  if (!row) throw absent('endpoint', ':endpoint');
  return row;
}

/** The same; null for a foreign or absent one. */
export async function findEndpointOrNull(
  manager: EntityManager,
  reach: Reach,
  { account, endpoint }: EndpointRef,
  evenDeleted = false,
): Promise<EndpointRow | null> {
  const owner = account === undefined ? reach.account : (await findAccount(manager, reach, account)).id;
  if (!UID_PATTERN.test(endpoint)) return null;
  const rows = await manager.find(EndpointRow, {
    where: {
      tenant: reach.tenant,
      ...(owner === null ? {} : { account: owner }),
      ...(isId('endpoint', endpoint) ? { id: endpoint } : { uid: endpoint }),
      ...(evenDeleted ? {} : { deletedAt: IsNull() }),
    },
    take: 2,
  });
  if (rows.length > 1) {
    throw new Problem('conflict', 'Several accounts have an endpoint with this uid; name the account too.', [
      { pointer: ':endpoint', code: 'ambiguous', message: 'is the uid of endpoints of several accounts' },
    ]);
  }
  return rows[0] ?? null;
}

/** The same for a change: takes the account's lock, which every change of its endpoints holds, and reads again. */
export async function lockEndpoint(draft: Draft, reach: Reach, ref: EndpointRef): Promise<EndpointRow> {
  const { id, account } = await findEndpoint(draft.manager, reach, ref);
  await findAccount(draft.manager, reach, account, true);
  return findEndpoint(draft.manager, reach, { endpoint: id });
}
