import { MASKED, newId, type WrappedKey } from '@posthaste/contracts';
import type { SealContext, Vault } from '@posthaste/vault';
import { newestKey } from '../tenants/newest-key.js';

/** A source's headers, sealed together, under an id that changes whenever they do. */
export interface SealedHeaders {
  id: string;
  sealed: string;
}

interface Owner {
  tenant: string;
  account: string;
}

export function sealHeaders(
  vault: Vault,
  dataKeys: WrappedKey[],
  owner: Owner,
  headers: Record<string, string>,
): SealedHeaders | null {
  if (Object.keys(headers).length === 0) return null;
  const id = newId('secret');
  const dataKey = newestKey(dataKeys, owner.tenant);
  return { id, sealed: vault.seal(dataKey, contextOf(owner, id), JSON.stringify(headers)) };
}

/** Throws VaultError when they do not open. */
export function openHeaders(
  vault: Vault,
  dataKeys: WrappedKey[],
  owner: Owner,
  headers: SealedHeaders | null,
): Record<string, string> {
  if (headers === null) return {};
  const { id, sealed } = headers;
  return JSON.parse(vault.open(dataKeys, contextOf(owner, id), sealed)) as Record<string, string>;
}

export function maskedHeaders(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, MASKED]));
}

function contextOf({ tenant, account }: Owner, id: string): SealContext {
  return { table: 'source', tenant, row: account, column: `headers:${id}` };
}
