import type { DeliveryCancelled, DeliveryDeferred, DeliveryEvent } from '@posthaste/contracts';
import type { Overflow } from '@posthaste/delivery';
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
  | 'ordering'
>;

/** What of a job names its delivery. */
export interface NamedJob extends Pick<Job, 'delivery' | 'message' | 'endpoint' | 'attempt' | 'trigger'> {
  readonly ordering?: Job['ordering'];
}

/** What every event of a delivery begins with. */
export function deliveryKeyOf(job: NamedJob): DeliveryKey {
  const { delivery, message, endpoint, attempt, trigger, ordering } = job;
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
    ...(ordering === undefined ? {} : { ordering }),
  };
}

export function deferred(job: Job, { reason, until }: Overflow, now: number): DeliveryDeferred {
  return { type: 'DeliveryDeferred', v: 1, ...deliveryKeyOf(job), at: now, until, reason };
}

export function cancelled(job: Job, reason: DeliveryCancelled['reason'], now: number): DeliveryCancelled {
  return { type: 'DeliveryCancelled', v: 1, ...deliveryKeyOf(job), at: now, reason };
}
