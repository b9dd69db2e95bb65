import { z } from 'zod';
import { Uid } from './names.js';
import { listOf } from './paging.js';

const Time = z.iso.datetime({ precision: 3 });
const Instant = z.iso.datetime({ offset: true, error: 'must be an RFC 3339 time' });

export const Recover = z
  .strictObject({
    since: Instant.meta({ description: 'Of messages accepted at or after this time.' }),
    until: Instant.optional().meta({
      description: 'And accepted before this time; now, when it is left out.',
    }),
    rate_per_second: z.number().int().min(1).max(1_000).default(100).meta({
      description:
        'How many attempts are requested per second. The endpoint is never sent to faster than it keeps up.',
    }),
    dry_run: z.boolean().default(false).meta({ description: 'Only count, and name some.' }),
  })
  .meta({ id: 'Recover' });
export type Recover = z.infer<typeof Recover>;

export const CreateReplay = Recover.extend({
  endpoint_id: Uid.meta({ description: 'Our id, or your own uid of the endpoint.' }),
}).meta({ id: 'CreateReplay' });
export type CreateReplay = z.infer<typeof CreateReplay>;

export const Replay = z
  .object({
    id: z.string().nullable().meta({ description: 'Null: it was a dry run.' }),
    account_id: z.string(),
    endpoint_id: z.string(),
    status: z.enum(['dry_run', 'running', 'paused', 'completed', 'cancelled']).meta({
      description: 'Completed: every attempt is requested; those of a slow endpoint may still be to come.',
    }),
    since: Time,
    until: Time,
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
      description: 'Of a dry run, the first deliveries that match.',
    }),
  })
  .meta({ id: 'Replay' });
export type Replay = z.infer<typeof Replay>;

export const ReplayList = listOf(Replay, 'ReplayList');
