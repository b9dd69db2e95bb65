import type { HistoryMessage } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';

/** Throws `conflict` for an endpoint that nothing can be sent to: gone (null), disabled, or a feed. */
export function refuseUnsendable(endpoint: EndpointRow | null, pointer: string): void {
  if (endpoint?.enabled && endpoint.mode === 'push') return;
  const message = endpoint?.enabled
    ? 'leads to a feed, which is not sent to'
    : 'leads to an endpoint that is disabled or gone';
  throw new Problem('conflict', `Nothing can be sent: it ${message}.`, [
    { pointer, code: 'not_sendable', message },
  ]);
}

/** Throws `conflict` for a message whose payload was shredded. */
export function refuseShredded({ shredded_at }: HistoryMessage): void {
  if (shredded_at === undefined) return;
  const message = 'is of a message whose payload was shredded';
  throw new Problem('conflict', `Nothing can be sent: it ${message}.`, [
    { pointer: ':id', code: 'not_sendable', message },
  ]);
}
