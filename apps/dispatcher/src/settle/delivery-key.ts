import type { DeliveryCancelled, DeliveryDeferred, DeliveryEvent } from '@posthaste/contracts';
import type { Job } from '../intake/job.js';

type DeliveryKey = Pick<
  DeliveryEvent,
  | 'delivery'
  | 'message'
  | 'tenant'
  | 'account'
  | 'endpoint'
  | 'eventType'
  | 'acceptedAt'
  | 'attempt'
  | 'trigger'
>;

/** What every event of a delivery begins with. */
export function deliveryKeyOf({
  delivery,
  message,
  endpoint,
  attempt,
  trigger,
}: Pick<Job, 'delivery' | 'message' | 'endpoint' | 'attempt' | 'trigger'>): DeliveryKey {
  return {
    delivery,
    message: message.id,
    tenant: message.tenant,
    account: message.account,
    endpoint,
    eventType: message.type,
    acceptedAt: message.at,
    attempt,
    trigger,
  };
}

/** How long a delivery that found no room is put off; spread, so that those of one burst do not come back as one. */
const DEFER_MS = 5_000;
const DEFER_SPREAD_MS = 1_000;

export function deferred(
  job: Job,
  reason: DeliveryDeferred['reason'],
  now: number,
  random: number,
): DeliveryDeferred {
  const until = now + DEFER_MS + Math.floor(random * DEFER_SPREAD_MS);
  return { type: 'DeliveryDeferred', v: 1, ...deliveryKeyOf(job), at: now, until, reason };
}

export function cancelled(job: Job, reason: DeliveryCancelled['reason'], now: number): DeliveryCancelled {
  return { type: 'DeliveryCancelled', v: 1, ...deliveryKeyOf(job), at: now, reason };
}
