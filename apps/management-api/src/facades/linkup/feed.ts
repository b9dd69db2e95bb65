import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '@posthaste/runtime';
import { linkupEvent } from '@posthaste/wire';
import { z } from 'zod';
import type { EndpointRow } from '../../endpoints/endpoint.entity.js';
import { type FeedItem, type Feeds, madeOnce } from '../../feeds/index.js';

// A hosted webhook's events: our feed's items in LinkUp's words. An event's id is the item's sequence in the form of
// LinkUp's ids, so that ids sort as the events came. So do their `created_at`, and no two are the same: who goes on by
// `since` with the last one it has seen, as LinkUp's programs do, misses nothing.

const ID_DIGITS = 24;

function eventId(sequence: number): string {
  return sequence.toString(16).padStart(ID_DIGITS, '0');
}

/** The sequence behind an event's id. */
export const EventId = z
  .string()
  .regex(/^[0-9a-f]{24}$/i, 'must be the event_id of an event of this webhook')
  .transform((id) => Number.parseInt(id, 16))
  .refine(Number.isSafeInteger, 'must be the event_id of an event of this webhook');

const DAY = /^\d{4}-\d\d-\d\d$/;
const UNESCAPED_PLUS = /(?<=T.*) (?=\d\d:\d\d$)/;

/**
 * With a zone or, as LinkUp's own timestamps are, without: then it is UTC. A day is its beginning, and the plus of a zone
 * that was not escaped, which a query reads as a space, is a plus.
 */
const Time = z
  .string()
  .transform((text) => (DAY.test(text) ? `${text}T00:00:00Z` : text.replace(UNESCAPED_PLUS, '+')))
  .pipe(z.iso.datetime({ offset: true, local: true }))
  .transform((text) => new Date(/(Z|[+-]\d\d:\d\d)$/i.test(text) ? text : `${text}Z`));

const Count = z.coerce.number().int().min(1).max(200);

/** The names of older and newer clients alike; fields there are not are passed over. `after` is an event, or a time. */
export const EventsQuery = z.object({
  after: z
    .union([EventId, Time], { error: 'must be the event_id of an event of this webhook, or a time' })
    .optional(),
  since: Time.optional(),
  until: Time.optional(),
  limit: Count.optional(),
  count: Count.optional(),
});
export type EventsQuery = z.output<typeof EventsQuery>;

const DEFAULT_LIMIT = 50;

/**
 * The JSON of `data`, events as they were published, byte for byte. LinkUp has no word for an `after` that is not kept
 * any more: what is still there is answered.
 */
export async function pollEvents(feeds: Feeds, row: EndpointRow, query: EventsQuery): Promise<string> {
  const { until, limit = query.count ?? DEFAULT_LIMIT } = query;
  const [after, time] = query.after instanceof Date ? [undefined, query.after] : [query.after, undefined];
  const since = later(query.since, time);
  let page = await feeds.page(row, { after, since, until, limit });
  if (page.kind === 'expired') page = await feeds.page(row, { after: page.oldest - 1, since, until, limit });
  const items = page.kind === 'items' ? page.items : [];
  return `{"items":[${items.map(itemText).join(',')}]}`;
}

function later(one: Date | undefined, other: Date | undefined): Date | undefined {
  if (!one || !other) return one ?? other;
  return one > other ? one : other;
}

function itemText(item: FeedItem): string {
  const id = eventId(item.sequence);
  return `{"event_id":"${id}","event":${wrapped(item).toString()},"created_at":"${item.listedAt.toISOString()}"}`;
}

/** A stream says so at once; a history that hangs must not hold it up. */
const START_WITHIN_MS = 500;

/**
 * After which sequence a stream begins: where its client stopped, or from now on. What the client stopped at may not be
 * kept any more; then it goes on with the oldest that is. While history does not answer, as the client says, and null
 * for from now on.
 */
export async function startOf(feeds: Feeds, row: EndpointRow, last: number | null): Promise<number | null> {
  const given = new AbortController();
  try {
    const page = await Promise.race([
      feeds.page(row, last === null ? { since: new Date(), limit: 1 } : { after: last, limit: 1 }),
      delay(START_WITHIN_MS, undefined, { signal: given.signal }),
    ]);
    if (page === undefined) return last;
    if (page.kind === 'expired') return page.oldest - 1;
    return Math.min(last ?? page.newest, page.newest);
  } catch (error) {
    if (error instanceof Problem && error.code === 'unavailable') return last;
    throw error;
  } finally {
    given.abort();
  }
}

/** The first frame of a stream; its client goes on after `start` when it comes again. */
export function connectedFrame(webhook: string, account: string, start: number | null): Buffer {
  const data = Buffer.from(JSON.stringify({ webhook_id: webhook, account_id: account }));
  return frameFor('connected', data, start);
}

/** As LinkUp's documents show frames; the id is ours and comes last. */
function frameFor(event: string, line: Buffer, sequence: number | null): Buffer {
  const id = sequence === null ? '' : `id: ${eventId(sequence)}\n`;
  return Buffer.concat([Buffer.from(`event: ${event}\ndata: `), line, Buffer.from(`\n${id}\n`)]);
}

export const frameOf = madeOnce((item: FeedItem) =>
  frameFor('webhook', onOneLine(wrapped(item)), item.sequence),
);

function wrapped({ meta, payload }: FeedItem): Buffer {
  return linkupEvent({ ...meta, payload });
}

/** Between JSON's tokens a line break is a space like any other, and in them it cannot be. */
function onOneLine(json: Buffer): Buffer {
  if (!json.includes(0x0a) && !json.includes(0x0d)) return json;
  return Buffer.from(json.toString().replace(/[\r\n]+/g, ' '));
}
