export { addressProblem, parseEgressPolicy, type EgressPolicy } from './address-rules.js';
export {
  GuardedClient,
  type EgressRequest,
  type EgressResult,
  type GuardedClientOptions,
} from './guarded-client.js';
export type { Lookup } from './guarded-connect.js';
export { checkUrl, type UrlRule, type UrlVerdict } from './url-rules.js';
