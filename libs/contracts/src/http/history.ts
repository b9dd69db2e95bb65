import { z } from 'zod';
import { AttemptErrorClass, DeliveryStatus } from '../events/delivery.js';
import { Trigger } from '../message.js';
import { EventTypeName } from './event-type.js';
import { Uid } from './names.js';
import { listOf, PageQuery } from './paging.js';

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

/** A point in time of the caller's, with any offset, as milliseconds since 1970. */
const Instant = z.iso.datetime({ offset: true, error: 'must be an RFC 3339 time' });
const range = {
  event_type: EventTypeName.optional(),
  since: Instant.optional().meta({ description: 'Accepted at or after this time.' }),
  until: Instant.optional().meta({ description: 'Accepted before this time.' }),
};

export const MessagesQuery = PageQuery.extend(range);
export type MessagesQuery = z.infer<typeof MessagesQuery>;

export const MessageDeliveriesQuery = PageQuery.extend({ status: DeliveryStatus.optional() });

export const DeliveriesQuery = PageQuery.extend({
  status: DeliveryStatus.optional(),
  endpoint_id: Uid.optional().meta({ description: 'Our id, or your own uid of the endpoint.' }),
  ...range,
});
export type DeliveriesQuery = z.infer<typeof DeliveriesQuery>;

export const MessageList = listOf(Message, 'MessageList');
export const DeliveryList = listOf(Delivery, 'DeliveryList');
export const AttemptList = listOf(Attempt, 'AttemptList');
