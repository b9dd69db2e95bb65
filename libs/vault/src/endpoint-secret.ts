import type { SealContext } from './vault.js';

/** Where an endpoint's signing secret belongs. Whoever seals it and whoever opens it must name the same place. */
export function endpointSecretContext(tenant: string, endpoint: string, secretId: string): SealContext {
  return { table: 'endpoint', tenant, row: endpoint, column: `secret:${secretId}` };
}
