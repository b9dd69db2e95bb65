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

/** Null for the other events of deliveries. Throws on what is no record of the topic. */
export function readAttempt(value: Buffer): AttemptFact | null {
  const event = JSON.parse(value.toString()) as { type?: unknown } | null;
  return event?.type === 'DeliveryAttempted' ? AttemptFact.parse(event) : null;
}
