import { z } from 'zod';
import { AttemptErrorClass, DeliveryStatus } from '../events/delivery.js';
import { EventTypeName } from './event-type.js';
import { Attempt } from './history.js';
import { Uid } from './names.js';

/** A place in the tail, as its events name it. To everybody else it is opaque. */
export const TAIL_PLACE_PATTERN = /^[0-9a-z]{1,11}(\.[0-9a-z]{1,11}){1,1000}$/;

/** What became of the delivery by the attempt; every other status is of deliveries that have not been attempted. */
const AttemptedStatus = DeliveryStatus.extract(['delivered', 'retrying', 'exhausted', 'cancelled']);

export const TailQuery = z.strictObject({
  after: z
    .string()
    .regex(TAIL_PLACE_PATTERN, 'must be the id of an event of this stream')
    .optional()
    .meta({ description: 'The id of the last event you have: those after it are sent.' }),
  account: Uid.optional().meta({
    description: "Only of this account: our id, or your own uid. With an account's key it is that one.",
  }),
  endpoint_id: Uid.optional().meta({ description: 'Only to this endpoint: our id, or your own uid of it.' }),
  event_type: EventTypeName.optional(),
  outcome: z.enum(['succeeded', 'failed']).optional(),
  status: AttemptedStatus.optional().meta({ description: 'Only those that left the delivery so.' }),
  error_class: AttemptErrorClass.optional(),
  status_code: z.coerce.number().int().min(100).max(599).optional().meta({
    description: 'Only those the endpoint answered with this status.',
  }),
});
export type TailQuery = z.infer<typeof TailQuery>;

/** An attempt as it is made. Who asked for it, and the copy to a shadow URL, are in the history a moment later. */
export const TailedAttempt = Attempt.omit({ requested: true, shadow: true })
  .extend({
    delivery_id: z.string(),
    message_id: z.string(),
    account_id: z.string(),
    endpoint_id: z.string(),
    event_type: z.string(),
    delivery_status: AttemptedStatus.meta({ description: 'What became of the delivery by it.' }),
  })
  .meta({ id: 'TailedAttempt' });
export type TailedAttempt = z.infer<typeof TailedAttempt>;
