export { addressProblem, parseEgressPolicy, type EgressPolicy } from './address-rules.js';
export type { ClientIdentity, EgressRequest, EgressResult } from './egress-result.js';
export { GuardedClient, type GuardedClientOptions } from './guarded-client.js';
export type { Lookup } from './guarded-connect.js';
export { tokenClient, type TokenClient } from './oauth/token-client.js';
export { requestToken, type TokenFailure, type TokenResult } from './oauth/token-request.js';
export { scrub, scrubText } from './scrub.js';
export { checkUrl, type UrlRule, type UrlVerdict } from './url-rules.js';
