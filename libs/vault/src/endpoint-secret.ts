import type { SealContext } from './vault.js';

/** Where an endpoint's signing secret belongs. Whoever seals it and whoever opens it must name the same place. */
export function endpointSecretContext(tenant: string, endpoint: string, secretId: string): SealContext {
  return { table: 'endpoint', tenant, row: endpoint, column: `secret:${secretId}` };
}

/** The same for what an endpoint's receiver knows us by: the OAuth client's credential, the certificate's key. */
export function endpointCredentialContext(
  tenant: string,
  endpoint: string,
  column: 'oauth' | 'client_certificate',
  credentialId: string,
): SealContext {
  return { table: 'endpoint', tenant, row: endpoint, column: `${column}:${credentialId}` };
}
