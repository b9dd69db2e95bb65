import { z } from 'zod';
import { AttemptErrorClass } from './delivery.js';

/**
 * What we have to say to a tenant's own operators, as messages of these event types to the accounts that receive them.
 * The payload is a webhook of the form Standard Webhooks recommends: `type`, `timestamp`, `data`.
 */
const instant = z.iso.datetime();

const subject = { account_id: z.string(), endpoint_id: z.string() };

export const OperatorEvent = z.discriminatedUnion('type', [
  /** Every attempt has failed for a day, and again for three. */
  z.object({
    type: z.literal('endpoint.warning'),
    timestamp: instant,
    data: z.object({
      ...subject,
      failing_since: instant,
      failing_hours: z.number().int(),
      failures: z.number().int(),
      last_error: z.object({ class: AttemptErrorClass, message: z.string() }).nullable(),
      /** Null: it is never disabled for failing. */
      disables_at: instant.nullable(),
    }),
  }),
  z.object({
    type: z.literal('endpoint.disabled'),
    timestamp: instant,
    data: z.object({
      ...subject,
      /** `failing`: every attempt for a week; `gone`: it answered 410, or asked for it. */
      reason: z.enum(['failing', 'gone']),
      failing_since: instant.nullable(),
      attempt_id: z.string(),
    }),
  }),
  /** The first success after a warning. */
  z.object({
    type: z.literal('endpoint.recovered'),
    timestamp: instant,
    data: z.object({ ...subject, failing_since: instant.nullable(), attempt_id: z.string() }),
  }),
  z.object({
    type: z.literal('message.attempts_exhausted'),
    timestamp: instant,
    data: z.object({
      ...subject,
      message_id: z.string(),
      delivery_id: z.string(),
      event_type: z.string(),
      attempts: z.number().int(),
      last_error: z.object({ class: AttemptErrorClass, message: z.string() }).nullable(),
    }),
  }),
]);
export type OperatorEvent = z.infer<typeof OperatorEvent>;
