import { z } from 'zod';
import { PageQuery } from './paging.js';

/** A place in a feed, as callers write it. */
export const FEED_SEQUENCE_PATTERN = /^[0-9]{1,15}$/;
const Sequence = z
  .string()
  .regex(FEED_SEQUENCE_PATTERN, 'must be a sequence number')
  .transform(Number)
  .optional()
  .meta({ description: 'The sequence of the last item you have: those after it are answered.' });

export const FeedQuery = z.strictObject({ after: Sequence, limit: PageQuery.shape.limit });
export type FeedQuery = z.infer<typeof FeedQuery>;

export const FeedStreamQuery = z.strictObject({ after: Sequence });
export type FeedStreamQuery = z.infer<typeof FeedStreamQuery>;

/** A message in a feed. */
export const FeedItem = z
  .object({
    sequence: z.number().int().positive().meta({
      description: "Counts the endpoint's items from 1, without a gap.",
    }),
    id: z.string().meta({ description: "The message's id." }),
    event_type: z.string(),
    channels: z.array(z.string()),
    tags: z.array(z.string()),
    timestamp: z.iso.datetime({ precision: 3 }).meta({ description: 'When the message was accepted.' }),
    content_type: z.string(),
    payload_encoding: z.enum(['json', 'base64']).meta({
      description: '`base64` when the payload is not JSON; `payload` is then its bytes as a string.',
    }),
    payload: z.unknown().meta({ description: 'The JSON that was published, byte for byte.' }),
  })
  .meta({ id: 'FeedItem' });
export type FeedItem = z.infer<typeof FeedItem>;

/** Oldest first. */
export const FeedList = z
  .object({
    data: z.array(FeedItem),
    next_after: z.number().int().meta({ description: 'The `after` of the next request.' }),
    oldest: z.number().int().meta({
      description: 'The first sequence that is still kept; one above the newest when none is.',
    }),
    has_more: z.boolean(),
  })
  .meta({ id: 'FeedList' });
export type FeedList = z.infer<typeof FeedList>;
