import { DeliveryAttempted } from '@posthaste/contracts';
import { z } from 'zod';

/** What an endpoint's health looks at in an attempt. The rest of the event, its bodies and headers, is not looked at. */
const AttemptFact = DeliveryAttempted.pick({
  tenant: true,
  account: true,
  endpoint: true,
  delivery: true,
  message: true,
  eventType: true,
  attempt: true,
  id: true,
  startedAt: true,
  outcome: true,
  error: true,
  decision: true,
}).extend({ request: z.object({ url: z.string() }) });
export type AttemptFact = z.infer<typeof AttemptFact>;

/** What can be told of a record at a glance: to check every member of every success would cost more than to use it. */
export interface UncheckedEvent {
  type?: unknown;
  endpoint?: unknown;
  outcome?: unknown;
  startedAt?: unknown;
  decision?: { endpointGone?: unknown };
}

/** Throws on what is not JSON. */
export function glanceAt(value: Buffer): UncheckedEvent {
  return (JSON.parse(value.toString()) as UncheckedEvent | null) ?? {};
}

/** Null for the other events of deliveries. Throws on what is no record of the topic. */
export function toAttempt(event: UncheckedEvent): AttemptFact | null {
  return event.type === 'DeliveryAttempted' ? AttemptFact.parse(event) : null;
}
