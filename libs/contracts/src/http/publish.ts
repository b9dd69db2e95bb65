import { z } from 'zod';

/**
 * Publishing, as the outside sees it. These schemas are the documentation (OpenAPI is made of them) and the limits;
 * the service reads a body by its own scanner, because the payload's bytes must survive, and a property test holds
 * the two to one opinion.
 */
export const publishLimits = {
  /** The payload as sent, in bytes. */
  payloadBytes: 262_144,
  /** A whole request body: a payload and its envelope, or a batch. */
  bodyBytes: 1_048_576,
  eventTypeChars: 128,
  labels: 10,
  labelChars: 128,
  eventIdChars: 255,
  orderingKeyChars: 255,
  idempotencyKeyChars: 255,
  batchMessages: 100,
  /** How deep our own envelope may nest, and how deep a payload. */
  envelopeDepth: 32,
  payloadDepth: 64,
} as const;

export const EVENT_TYPE_PATTERN = /^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$/;
/** A channel or tag: any text without control characters, and without commas, which part the lists of the raw form. */
export const LABEL_PATTERN = /^[^\p{Cc}\p{Cs},]+$/u;
/** An event id and an ordering key are compared byte by byte: visible ASCII. */
export const VISIBLE_ASCII_PATTERN = /^[\x21-\x7e]+$/;
/** An Idempotency-Key may hold spaces inside; a header cannot carry them at its ends. */
export const IDEMPOTENCY_KEY_PATTERN = /^[\x20-\x7e]+$/;

export const Label = z.string().min(1).max(publishLimits.labelChars).regex(LABEL_PATTERN);

export const PublishMessage = z
  .strictObject({
    event_type: z.string().max(publishLimits.eventTypeChars).regex(EVENT_TYPE_PATTERN).meta({
      description: 'The name of what happened, such as `invoice.paid`.',
    }),
    payload: z.unknown().meta({
      description:
        'Any JSON value of at most 262,144 bytes and 64 levels. Its exact bytes in this request are what receivers get: ' +
        'number formats, key order, repeated keys, escapes and white space are kept.',
    }),
    channels: z
      .array(Label)
      .max(publishLimits.labels)
      .optional()
      .meta({ description: 'Endpoints that filter by channel get the message when they share one.' }),
    tags: z
      .array(Label)
      .max(publishLimits.labels)
      .optional()
      .meta({ description: 'For finding the message again. They route nothing.' }),
    event_id: z.string().min(1).max(publishLimits.eventIdChars).regex(VISIBLE_ASCII_PATTERN).optional().meta({
      description: "The caller's own id of what happened: publishing it again answers 200 and sends nothing.",
    }),
    ordering_key: z
      .string()
      .min(1)
      .max(publishLimits.orderingKeyChars)
      .regex(VISIBLE_ASCII_PATTERN)
      .optional()
      .meta({
        description:
          'Endpoints with `ordering: "by_key"` get the messages of one key one after the other, in order of acceptance.',
      }),
  })
  .meta({ id: 'PublishMessage' });
export type PublishMessage = z.infer<typeof PublishMessage>;

export const PublishBatch = z
  .strictObject({ messages: z.array(PublishMessage).min(1).max(publishLimits.batchMessages) })
  .meta({ id: 'PublishBatch' });

export const PublishedMessage = z
  .strictObject({
    id: z.string().meta({ description: '`msg_...`' }),
    deliveries: z
      .number()
      .int()
      .nonnegative()
      .meta({ description: 'How many endpoints it is delivered to.' }),
  })
  .meta({ id: 'PublishedMessage' });
export type PublishedMessage = z.infer<typeof PublishedMessage>;

export const PublishedBatch = z
  .strictObject({ data: z.array(PublishedMessage) })
  .meta({ id: 'PublishedBatch' });
