import { z } from 'zod';
import { CustomHeaders } from './custom-headers.js';
import { entityFields, Instant } from './names.js';

/** What stands for a header's value wherever a source is shown. */
export const MASKED = '********';

/** What we say ourselves when we ask for a stream. */
const OURS = new Set(['accept', 'accept-encoding', 'cache-control', 'last-event-id']);

const SourceHeaders = CustomHeaders.superRefine((headers, context) => {
  for (const [name, value] of Object.entries(headers)) {
    const refuse = (rule: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [name], message, params: { rule } });
    if (OURS.has(name.toLowerCase())) refuse('reserved_header', 'is set by us and cannot be set here');
    if (value === MASKED) refuse('masked', 'is what stands for a value, and none itself');
  }
}).meta({ description: 'Sent with every request to the source. Kept sealed, and shown masked.' });

const SourceUrl = z.string().min(1).max(2_048);

export const PutSource = z
  .strictObject({
    url: SourceUrl.meta({ description: 'A stream of server-sent events (`text/event-stream`).' }),
    headers: SourceHeaders.default({}),
    sync_url: SourceUrl.nullable().default(null).meta({
      description:
        'A JSON array of the connections the account has already, each with an `id`. Read once, when an endpoint asks for `accepted_invitation`: invitations that brought only known connections are not published.',
    }),
  })
  .meta({ id: 'PutSource' });
export type PutSource = z.infer<typeof PutSource>;

export const SourceState = z
  .discriminatedUnion('status', [
    z.object({ status: z.literal('idle') }),
    z.object({ status: z.literal('connecting') }),
    z.object({
      status: z.literal('open'),
      since: Instant,
      sync_error: z
        .object({ class: z.string(), message: z.string() })
        .optional()
        .meta({ description: 'Why `sync_url` could not be read. It is tried again beside the stream.' }),
    }),
    z.object({
      status: z.literal('waiting'),
      attempt: z.number().int().meta({ description: 'How many in a row have failed.' }),
      retry_at: Instant,
      error: z.object({
        class: z.string().meta({
          description:
            'As of an attempt, or `not_an_event_stream`, `event_too_large`, `ended`, `publish_failed`, `headers_unreadable`.',
        }),
        message: z.string(),
      }),
    }),
  ])
  .meta({
    id: 'SourceState',
    description: '`idle`: the account is not monitored. The others say how its one connection is doing.',
  });
export type SourceState = z.infer<typeof SourceState>;

export const Source = z
  .object({
    ...entityFields,
    account_id: z.string(),
    url: z.string(),
    headers: z.record(z.string(), z.string()).meta({ description: 'Names, and stars for the values.' }),
    sync_url: z.string().nullable(),
    state: SourceState,
    last_event_id: z.string().nullable().meta({ description: 'Everything up to here is published.' }),
    last_event_at: Instant.nullable(),
    dropped_events: z.number().int().meta({
      description:
        'Events that were not published: their type is not well-formed or not in the catalogue, or their id came before with other content.',
    }),
  })
  .meta({ id: 'Source' });
export type Source = z.infer<typeof Source>;
