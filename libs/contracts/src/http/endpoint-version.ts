import { z } from 'zod';
import { Endpoint } from './endpoint.js';
import { Instant } from './names.js';
import { listOf } from './paging.js';

/** Which of an endpoint's states is asked for; none of them: the one it has now. */
export const EndpointAsOfQuery = z
  .strictObject({
    at: z.iso
      .datetime({ offset: true, error: 'must be an RFC 3339 time' })
      .optional()
      .meta({ description: 'As it was at this time.' }),
    attempt: z.string().max(64).optional().meta({ description: 'As this attempt to it was made.' }),
    version: z.coerce
      .number()
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .optional()
      .meta({ description: 'This version of it.' }),
  })
  .refine(
    ({ at, attempt, version }) => [at, attempt, version].filter((one) => one !== undefined).length < 2,
    {
      error: 'name one state: `at`, `attempt` or `version`',
      path: ['at'],
      params: { rule: 'only_one' },
    },
  );
export type EndpointAsOfQuery = z.infer<typeof EndpointAsOfQuery>;

export const EndpointAsOf = Endpoint.extend({
  deleted: z.boolean(),
  is_current: z.boolean().meta({ description: 'It has not been changed since.' }),
}).meta({ id: 'EndpointAsOf', description: 'An endpoint as it was. `updated_at` is when it became so.' });
export type EndpointAsOf = z.infer<typeof EndpointAsOf>;

export const EndpointVersion = z
  .object({
    version: z.number().int(),
    at: Instant,
    action: z.string().meta({ description: 'What was done, such as `endpoint.updated`.' }),
    actor: z
      .string()
      .meta({ description: "The key's id, `operator`, or `system`: what Posthaste did of itself." }),
    from: z.string().meta({ description: 'The address the request came from; empty for `system`.' }),
    request_id: z.string().meta({ description: 'Of the request; for `system` what made it act.' }),
    changed: z
      .array(
        z.object({
          field: z.string(),
          before: z.unknown().optional(),
          after: z.unknown().optional(),
        }),
      )
      .meta({
        description:
          'What is different from the version before, in the words of the endpoint. Without `before` and `after` what is ' +
          'secret: that it changed is all that is told, or kept.',
      }),
  })
  .meta({ id: 'EndpointVersion' });
export type EndpointVersion = z.infer<typeof EndpointVersion>;

export const EndpointVersionList = listOf(EndpointVersion, 'EndpointVersionList');
