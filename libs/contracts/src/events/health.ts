import { z } from 'zod';
import { DeliveryAttempted } from './delivery.js';

/**
 * An attempt that says something new about how its endpoint is, in the topic `health`: every failure, and of successes
 * those that change something. What is not needed to judge it is left out.
 */
export const HealthFact = DeliveryAttempted.pick({
  v: true,
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
}).extend({ url: z.string() });
export type HealthFact = z.infer<typeof HealthFact>;

export function healthFactOf(event: DeliveryAttempted): HealthFact {
  const { v, tenant, account, endpoint, delivery, message, eventType } = event;
  const { attempt, id, startedAt, outcome, error, decision, request } = event;
  return {
    ...{ v, tenant, account, endpoint, delivery, message, eventType, attempt, id, startedAt, outcome },
    ...(error === undefined ? {} : { error }),
    decision,
    url: request.url,
  };
}
