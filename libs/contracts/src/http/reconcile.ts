import { z } from 'zod';
import { DeliveryStatus } from '../events/delivery.js';
import { POSITION_PATTERN } from '../position.js';
import { listOf, PageQuery } from './paging.js';
import { RatePerSecond, Replay } from './replay.js';

const Time = z.iso.datetime({ offset: true });

/** A position, or an RFC 3339 time with any offset. */
const Bound = z.string().refine((text) => POSITION_PATTERN.test(text) || Time.safeParse(text).success, {
  error: 'must be a position or an RFC 3339 time',
  params: { rule: 'invalid_format' },
});

const range = {
  from: Bound.optional().meta({
    description:
      'Where the range begins: a position, as `webhook-position` told it, or the time of acceptance. Absent: the oldest kept.',
  }),
  to: Bound.optional().meta({
    description: 'Where it ends: the first position or time that does not belong to it. Absent: now.',
  }),
};

export const ReconcileQuery = PageQuery.extend(range);
export type ReconcileQuery = z.infer<typeof ReconcileQuery>;

const MAX_RECONCILED_IDS = 10_000;

export const CompareReceived = z
  .strictObject({
    ...range,
    ids: z
      .array(z.string().max(100))
      .max(MAX_RECONCILED_IDS)
      .meta({ description: 'The ids of messages (`webhook-id`) the receiver has, in any order.' }),
    replay: z.boolean().default(false).meta({
      description:
        'Send what is missing, as a replay. Needs `deliveries:write`. What is owed an attempt anyhow is left to that.',
    }),
    rate_per_second: RatePerSecond,
  })
  .meta({ id: 'CompareReceived' });
export type CompareReceived = z.infer<typeof CompareReceived>;

/** A message that was meant for an endpoint. */
export const MeantMessage = z
  .object({
    position: z.string(),
    message_id: z.string(),
    delivery_id: z.string(),
    event_type: z.string(),
    accepted_at: z.iso.datetime({ precision: 3 }),
    payload_sha256: z
      .string()
      .nullable()
      .meta({
        description:
          'Of the exact bytes that were published, in hexadecimal; null when they are not kept any more. The profile ' +
          '`standard` sends these bytes as its body.',
      }),
    status: DeliveryStatus,
    attempts: z.number().int(),
  })
  .meta({ id: 'MeantMessage' });
export type MeantMessage = z.infer<typeof MeantMessage>;

export const MeantList = listOf(MeantMessage, 'MeantList');

export const ReceivedComparison = z
  .object({
    missing: z.array(z.string()).meta({
      description:
        'Messages of the range that were meant for the endpoint and are not among the ids, in their order.',
    }),
    unknown: z.array(z.string()).meta({
      description: 'Those of the ids that were never meant for the endpoint, or are not kept any more.',
    }),
    more: z.boolean().meta({ description: 'The range holds more than was looked at.' }),
    next_from: z
      .string()
      .nullable()
      .meta({ description: 'The position to go on `from`; null unless `more`.' }),
    replay: Replay.nullable().meta({
      description: 'Of exactly what is `missing`; null when it was not asked for, or nothing is.',
    }),
  })
  .meta({ id: 'ReceivedComparison' });
export type ReceivedComparison = z.infer<typeof ReceivedComparison>;
