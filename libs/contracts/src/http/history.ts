import { z } from 'zod';
import { AttemptErrorClass, DeliveryStatus } from '../events/delivery.js';
import { type IdKind, idPrefixes } from '../ids.js';
import { Trigger } from '../message.js';
import { EventTypeName } from './event-type.js';
import { Uid } from './names.js';
import { listOf, PageQuery } from './paging.js';
import { Label } from './publish.js';

/** What happened to messages, as the outside sees it. Times are RFC 3339, UTC, to the millisecond. */
const Time = z.iso.datetime({ precision: 3 });

export const Message = z
  .object({
    id: z.string(),
    account_id: z.string(),
    event_type: z.string(),
    channels: z.array(z.string()),
    tags: z.array(z.string()),
    content_type: z.string(),
    payload_bytes: z.number().int(),
    payload_shredded_at: Time.nullable().meta({
      description: 'When its payload was shredded; null: it was not.',
    }),
    accepted_at: Time,
    config_version: z.number().int().meta({
      description: "The account's configuration version the message was routed at.",
    }),
    stale_config: z.boolean().meta({
      description: 'It was routed by a configuration up to 60 s old, because the newest could not be read.',
    }),
    deliveries: z.number().int().meta({ description: 'How many endpoints it was routed to.' }),
  })
  .meta({ id: 'Message' });
export type Message = z.infer<typeof Message>;

export const Delivery = z
  .object({
    id: z.string(),
    message_id: z.string(),
    account_id: z.string(),
    endpoint_id: z.string(),
    event_type: z.string(),
    status: DeliveryStatus,
    attempts: z.number().int(),
    accepted_at: Time,
    next_attempt_at: Time.nullable(),
    settled_at: Time.nullable().meta({ description: 'When it was delivered, exhausted or cancelled.' }),
    last_status_code: z.number().int().nullable(),
    last_error_class: AttemptErrorClass.nullable(),
    reason: z.string().nullable().meta({ description: 'Why it was deferred or cancelled.' }),
  })
  .meta({ id: 'Delivery' });
export type Delivery = z.infer<typeof Delivery>;

const HeaderList = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

const Failure = z.object({ class: AttemptErrorClass, message: z.string() });
const Response = z.object({
  status: z.number().int(),
  headers: HeaderList,
  body: z.string().meta({ description: 'The first 16 KB.' }),
  body_encoding: z.enum(['utf-8', 'base64']).meta({ description: 'base64 when the body is not text.' }),
  body_truncated: z.boolean(),
});

const ShadowReport = z.object({
  url: z.string(),
  started_at: Time,
  duration_ms: z.number(),
  outcome: z.enum(['succeeded', 'failed']),
  status: z.number().int().nullable(),
  error: Failure.nullable(),
  response: Response.nullable(),
  address: z.string().nullable(),
});
export type ShadowReport = z.infer<typeof ShadowReport>;

export const Attempt = z
  .object({
    id: z.string(),
    number: z.number().int().positive(),
    trigger: z.enum([...Trigger.options, 'test']),
    started_at: Time,
    duration_ms: z.number(),
    timings: z.object({
      dns_ms: z.number().nullable(),
      connect_ms: z.number().nullable().meta({
        description:
          'Until the connection was usable, with `dns_ms` and `tls_ms`; 0 on a connection that was open already.',
      }),
      tls_ms: z.number().nullable(),
      first_byte_ms: z.number().nullable(),
      total_ms: z.number(),
    }),
    outcome: z.enum(['succeeded', 'failed']),
    error: Failure.nullable(),
    request: z.object({ url: z.string(), headers: HeaderList }),
    response: Response.nullable(),
    address: z.string().nullable().meta({ description: 'The resolved address the request went to.' }),
    tls: z
      .object({
        version: z.string(),
        certificate: z.string().meta({ description: "The name the receiver's certificate was issued to." }),
      })
      .nullable(),
    endpoint_version: z.number().int(),
    profile: z.string(),
    next_attempt_at: Time.nullable(),
    requested: z
      .object({
        at: Time,
        by: z.string().meta({ description: 'The id of the key it was asked for with.' }),
        replay_id: z.string().nullable(),
      })
      .nullable()
      .meta({ description: 'Who asked for the attempt; null for those of the retry policy.' }),
    shadow: ShadowReport.nullable().meta({
      description: "What came of the copy sent to the endpoint's `shadow_url`; it counts for nothing.",
    }),
  })
  .meta({ id: 'Attempt' });
export type Attempt = z.infer<typeof Attempt>;

/** An attempt in a list of many deliveries. */
export const ListedAttempt = Attempt.extend({
  delivery_id: z.string(),
  endpoint_id: z.string(),
}).meta({ id: 'ListedAttempt' });
export type ListedAttempt = z.infer<typeof ListedAttempt>;

/** A point in time of the caller's, with any offset, as milliseconds since 1970. */
const Instant = z.iso.datetime({ offset: true, error: 'must be an RFC 3339 time' });
const EndpointFilter = Uid.optional().meta({ description: 'Our id, or your own uid of the endpoint.' });

/** Ids begin with their time; shorter ones would name hours. */
const prefixOf = (kind: IdKind) =>
  z
    .string()
    .regex(new RegExp(`^${idPrefixes[kind]}_[0-9A-Za-z]{6,27}$`), {
      error: `must be ${idPrefixes[kind]}_ and the first 6 characters of an id, or more`,
    })
    .optional()
    .meta({ description: 'The id, or how it begins: at least six characters behind its `_`.' });

const labels = {
  event_type: EventTypeName.optional(),
  channel: Label.optional().meta({ description: 'Of messages published with this channel.' }),
  tag: Label.optional().meta({ description: 'Of messages published with this tag.' }),
};
const range = {
  ...labels,
  since: Instant.optional().meta({ description: 'Accepted at or after this time.' }),
  until: Instant.optional().meta({ description: 'Accepted before this time.' }),
};

export const MessagesQuery = PageQuery.extend({
  ...range,
  id_prefix: prefixOf('message'),
  payload: z
    .string()
    .max(1_000)
    .optional()
    .meta({
      description:
        'Messages whose payload has a value at a path: `$.order.id=42`, `$.lines[0].sku="A-1"`, `$["odd name"]=true`. The ' +
        'value is a JSON number, string, true, false or null; what is none of these is a string without its quotes.',
    }),
});
export type MessagesQuery = z.infer<typeof MessagesQuery>;

export const MessageDeliveriesQuery = PageQuery.extend({ status: DeliveryStatus.optional() });

const StatusCode = z.coerce.number().int().min(100).max(599);

export const DeliveriesQuery = PageQuery.extend({
  status: DeliveryStatus.optional(),
  endpoint_id: EndpointFilter,
  ...range,
  error_class: AttemptErrorClass.optional().meta({ description: "The latest attempt's." }),
  status_code: StatusCode.optional().meta({ description: "The latest attempt's." }),
  id_prefix: prefixOf('delivery'),
});
export type DeliveriesQuery = z.infer<typeof DeliveriesQuery>;

export const AttemptsQuery = PageQuery.extend({
  outcome: z.enum(['succeeded', 'failed']).optional(),
  endpoint_id: EndpointFilter,
  ...labels,
  since: Instant.optional().meta({ description: 'Begun at or after this time.' }),
  until: Instant.optional().meta({ description: 'Begun before this time.' }),
  error_class: AttemptErrorClass.optional(),
  status_code: StatusCode.optional().meta({ description: 'The one the receiver answered with.' }),
  id_prefix: prefixOf('attempt'),
});
export type AttemptsQuery = z.infer<typeof AttemptsQuery>;

export const MessageList = listOf(Message, 'MessageList');
export const DeliveryList = listOf(Delivery, 'DeliveryList');
export const AttemptList = listOf(Attempt, 'AttemptList');
export const ListedAttemptList = listOf(ListedAttempt, 'ListedAttemptList');
