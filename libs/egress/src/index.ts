export { addressProblem, parseEgressPolicy, type EgressPolicy } from './address-rules.js';
export type { EgressRequest, EgressResult } from './egress-result.js';
export { GuardedClient, type GuardedClientOptions } from './guarded-client.js';
export type { Lookup } from './dns-lookup.js';
export { parseEgressProxy, type EgressProxy } from './egress-proxy.js';
export type { ClientCertificate } from './tls-upgrade.js';
export { tokenClient, type TokenClient } from './oauth/token-client.js';
export { requestToken, type TokenFailure } from './oauth/token-request.js';
export { checkUrl, type UrlRule, type UrlVerdict } from './url-rules.js';
