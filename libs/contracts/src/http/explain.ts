import { z } from 'zod';
import { EndpointMode } from '../configuration.js';
import { Delivery, Message } from './history.js';
import { Instant, Uid } from './names.js';
import { listOf, PageQuery } from './paging.js';

export const ExplainQuery = PageQuery.extend({
  endpoint_id: Uid.optional().meta({ description: 'Of this endpoint only: our id, or your own uid of it.' }),
});
export type ExplainQuery = z.infer<typeof ExplainQuery>;

/** Why a message does not go to an endpoint; in the order they are asked. */
export const ExplainRule = z.enum(['created_later', 'deleted_before', 'enabled', 'event_types', 'channels']);
export type ExplainRule = z.infer<typeof ExplainRule>;

const verdict = {
  matched: z.boolean().meta({
    description: 'Whether the message goes to it, by the configuration the message was routed at.',
  }),
  rule: ExplainRule.nullable().meta({ description: 'The first rule that said no; null when none did.' }),
  wanted: z.array(z.string()).meta({
    description: 'What the rule asks for; of `created_later` the time by which it had to be there.',
  }),
  got: z.array(z.string()).meta({ description: 'What it found instead.' }),
};

export const ExplainedEndpoint = z
  .object({
    endpoint_id: z.string(),
    uid: z.string().nullable(),
    mode: EndpointMode,
    version: z
      .number()
      .int()
      .nullable()
      .meta({ description: "The endpoint's version when the message was routed; null: there was none yet." }),
    ...verdict,
    since: z
      .object({ version: z.number().int(), at: Instant, action: z.string(), actor: z.string() })
      .nullable()
      .meta({
        description:
          'The change that made it so: who disabled it, set the filter, deleted or created it, and when.',
      }),
    disabled_reason: z.string().nullable().meta({ description: 'Of rule `enabled`.' }),
    routed: z.boolean().meta({
      description:
        'Whether the message was routed to it when it was accepted. This is recorded, not worked out: where it differs ' +
        'from `matched`, this is what happened.',
    }),
    delivery: Delivery.nullable().meta({
      description: 'What became of it; also one that a replay asked for later.',
    }),
    missed_change: z
      .object({ version: z.number().int(), at: Instant, ...verdict })
      .nullable()
      .meta({
        description:
          'Only with `stale_config`: the version it already had when the message was accepted, unknown to the routing.',
      }),
  })
  .meta({ id: 'ExplainedEndpoint' });
export type ExplainedEndpoint = z.infer<typeof ExplainedEndpoint>;

/** A page of the account's endpoints, the newest first, under what they were compared with. */
export const Explanation = listOf(ExplainedEndpoint, 'Explanation')
  .extend({
    message: Message.pick({
      id: true,
      account_id: true,
      event_type: true,
      channels: true,
      accepted_at: true,
      config_version: true,
      stale_config: true,
    }),
  })
  .meta({ id: 'Explanation' });
export type Explanation = z.infer<typeof Explanation>;
