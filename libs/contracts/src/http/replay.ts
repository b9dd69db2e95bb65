import { z } from 'zod';
import { AttemptErrorClass } from '../events/delivery.js';
import { EventTypeName } from './event-type.js';
import { Uid } from './names.js';
import { listOf } from './paging.js';

const Time = z.iso.datetime({ precision: 3 });
const Instant = z.iso.datetime({ offset: true, error: 'must be an RFC 3339 time' });

export const RatePerSecond = z.number().int().min(1).max(1_000).default(100).meta({
  description:
    'How many attempts are requested per second. The endpoint is never sent to faster than it keeps up.',
});
const Since = Instant.meta({ description: 'Of messages accepted at or after this time.' });

const pace = {
  until: Instant.optional().meta({
    description: 'And accepted before this time; now, when it is left out.',
  }),
  rate_per_second: RatePerSecond,
  dry_run: z.boolean().default(false).meta({ description: 'Only count, and name some.' }),
};

export const Recover = z.strictObject({ since: Since, ...pace }).meta({ id: 'Recover' });
export type Recover = z.infer<typeof Recover>;

export const Backfill = z
  .strictObject({
    start_from: Instant.meta({
      description: 'Of messages accepted at or after this time, as far as history keeps them.',
    }),
    ...pace,
  })
  .meta({ id: 'Backfill' });
export type Backfill = z.infer<typeof Backfill>;

const MAX_NAMED = 1_000;
const Named = z.array(z.string().max(100)).min(1).max(MAX_NAMED);
/** What is not settled is owed an attempt already. */
const SettledStatus = z.enum(['delivered', 'exhausted', 'cancelled']);

export const CreateReplay = z
  .strictObject({
    endpoint_id: Uid.optional().meta({
      description: 'Our id, or your own uid of the endpoint whose deliveries are meant.',
    }),
    account_id: Uid.optional().meta({
      description:
        'Our id, or your own uid of the account. Without `endpoint_id`: deliveries of all its endpoints, each to its own.',
    }),
    to_endpoint_id: Uid.optional().meta({
      description:
        'Another endpoint of the account, which gets the messages instead, as far as it never had them. Needs `endpoint_id`.',
    }),
    since: Since.optional().meta({
      description: 'Of messages accepted at or after this time. Needed, unless ids are given.',
    }),
    status: z.array(SettledStatus).min(1).optional().meta({
      description:
        'Left out: exhausted, or cancelled because the endpoint was disabled or gone; of ids that are given, any of these.',
    }),
    event_types: z.array(EventTypeName).min(1).max(100).optional(),
    error_class: AttemptErrorClass.optional().meta({ description: 'Of the latest attempt.' }),
    status_code: z
      .number()
      .int()
      .min(100)
      .max(599)
      .optional()
      .meta({ description: 'Of the answer to the latest attempt.' }),
    delivery_ids: Named.optional().meta({ description: 'These, as far as they match everything else.' }),
    message_ids: Named.optional().meta({ description: 'The deliveries of these. Not with `delivery_ids`.' }),
    ...pace,
  })
  .meta({ id: 'CreateReplay' });
export type CreateReplay = z.infer<typeof CreateReplay>;

export const Replay = z
  .object({
    id: z.string().nullable().meta({ description: 'Null: it was a dry run.' }),
    kind: z.enum(['recover', 'resend', 'copy', 'backfill']).meta({
      description:
        'recover: what an endpoint lacks for its own fault. resend: deliveries that were chosen. copy: their messages, ' +
        'to another endpoint. backfill: messages an endpoint never had.',
    }),
    account_id: z.string(),
    endpoint_id: z.string().nullable().meta({ description: 'Null: any of the account.' }),
    to_endpoint_id: z.string().nullable().meta({ description: 'Only of a copy.' }),
    status: z.enum(['dry_run', 'running', 'paused', 'completed', 'cancelled']).meta({
      description: 'Completed: every attempt is requested; those of a slow endpoint may still be to come.',
    }),
    since: Time.nullable().meta({ description: 'Null, as `until`: they were named one by one.' }),
    until: Time.nullable(),
    filter: z
      .object({
        status: z.array(z.string()),
        event_types: z.array(z.string()),
        channels: z.array(z.string()),
        error_class: z.string().nullable(),
        status_code: z.number().int().nullable(),
        named: z.number().int().meta({ description: 'How many deliveries or messages were named.' }),
      })
      .meta({ description: 'Which of them; what is empty, null or zero left nothing out.' }),
    rate_per_second: z.number().int(),
    requested_by: z.string().meta({ description: 'The id of the key it was asked for with.' }),
    created_at: Time,
    finished_at: Time.nullable(),
    total: z.number().int().meta({ description: 'How many deliveries matched when it began.' }),
    requested: z.number().int().meta({ description: 'Of how many an attempt has been requested.' }),
    succeeded: z.number().int(),
    failed: z.number().int(),
    estimated_seconds: z.number().meta({ description: 'How long requesting the rest takes at least.' }),
    sample: z.array(z.string()).nullable().meta({
      description:
        'Of a dry run, the first deliveries that match; those of a copy or a backfill are not there yet.',
    }),
  })
  .meta({ id: 'Replay' });
export type Replay = z.infer<typeof Replay>;

export const ReplayList = listOf(Replay, 'ReplayList');
