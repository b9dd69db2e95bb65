import type { ExplainRule } from '@posthaste/contracts';
import { type Matchable, matches } from '@posthaste/delivery';
import type { StoredEndpoint } from '../versions/stored-endpoint.js';
import type { EndpointThen } from './sql/select-endpoints-at.js';

/** What routing says of a message and an endpoint, and why not. */
export interface Verdict {
  matched: boolean;
  rule: ExplainRule | null;
  wanted: readonly string[];
  got: readonly string[];
}

/** What the rule looks at in the stored state: who set that, made the rule say no. */
export const fieldOfRule = {
  created_later: 'id',
  deleted_before: 'deleted',
  enabled: 'enabled',
  event_types: 'eventTypes',
  channels: 'channels',
} as const satisfies Record<ExplainRule, keyof StoredEndpoint>;

/**
 * The same decision that publishing makes, over the state a version row has kept. Publishing never sees an endpoint that
 * is not there; the first two rules say so in its place.
 */
export function verdictOn(message: Matchable, state: StoredEndpoint): Verdict {
  if (state.deleted) return { matched: false, rule: 'deleted_before', wanted: ['present'], got: ['deleted'] };
  const match = matches(message, state);
  return match.matched ? { matched: true, rule: null, wanted: [], got: [] } : match;
}

/** Of an endpoint as it was when the message was routed; it may have been created only later. */
export function verdictThen(message: Matchable & { acceptedAt: Date }, endpoint: EndpointThen): Verdict {
  if (endpoint.then) return verdictOn(message, endpoint.then.state);
  const wanted = [message.acceptedAt.toISOString()];
  return { matched: false, rule: 'created_later', wanted, got: [endpoint.createdAt.toISOString()] };
}
