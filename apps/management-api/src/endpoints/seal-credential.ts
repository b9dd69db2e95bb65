import { newId, type WrappedKey } from '@posthaste/contracts';
import { endpointCredentialContext, type Vault } from '@posthaste/vault';
import { newestKey } from '../tenants/newest-key.js';

export interface SealedCredential {
  id: string;
  sealed: string;
}

/** Seals what one endpoint's receiver knows us by, under an id that changes whenever the credential does. */
export type SealCredential = (column: 'oauth' | 'client_certificate', credential: string) => SealedCredential;

export function credentialSealer(
  vault: Vault,
  dataKeys: WrappedKey[],
  owner: { tenant: string; endpoint: string },
  atMs: number,
): SealCredential {
  return (column, credential) => {
    const id = newId('secret', atMs);
    const context = endpointCredentialContext(owner.tenant, owner.endpoint, column, id);
    return { id, sealed: vault.seal(newestKey(dataKeys, owner.tenant), context, credential) };
  };
}
