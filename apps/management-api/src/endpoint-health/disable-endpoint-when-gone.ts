import type { HealthFact } from '@posthaste/contracts';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';

/** Why an endpoint is to be disabled, found in the log some time ago. */
export interface SaidToBeGone {
  reason: 'gone';
  /** Where the attempt went, and when. */
  url: string;
  at: number;
  attempt: string;
}

/**
 * A receiver that answers 410, or asks with `webhook-delivery: disable`, is gone at once: Standard Webhooks demands it
 * of senders, so `auto_disable` has no say. Whatever the attempt was made for: a replay that is told so is told so.
 */
export function saysItIsGone({ decision }: HealthFact): boolean {
  if (decision.kind === 'delivered') return decision.endpointGone === true;
  return decision.kind === 'cancelled' && decision.reason === 'endpoint_gone';
}

/** Asked in the transaction that disables: what another URL said, or what was said before it was switched on, is void. */
export function isStillGone(endpoint: EndpointRow, { url, at }: SaidToBeGone): boolean {
  return endpoint.url === url && at >= (endpoint.healthSince?.getTime() ?? 0);
}
