import { type HistoryFeedItem, MessageMeta, type ReadFeedRequest } from '@posthaste/contracts';
import type { HistoryReader } from '../history/index.js';

/** One message in a feed. `sequence` counts the endpoint's items from 1 without a gap, and never changes. */
export interface FeedItem {
  sequence: number;
  acceptedAt: Date;
  /** Not before it was accepted, and later than every item before it. */
  listedAt: Date;
  meta: MessageMeta;
  payload: Buffer;
}

/**
 * What was asked for, oldest first; `oldest` is the first sequence that is still there (`newest + 1` when none is), and
 * `newest` is 0 before the first item. Or: the item after `after` is not kept any more.
 */
export type FeedPage =
  | { kind: 'items'; items: FeedItem[]; oldest: number; newest: number; hasMore: boolean }
  | { kind: 'expired'; oldest: number };

/** Throws `unavailable` while audit-log is away. */
export async function readFeedPage(reader: HistoryReader, request: ReadFeedRequest): Promise<FeedPage> {
  const {
    items,
    oldest,
    newest = 0,
    has_more = false,
  } = await reader.read((client) => client.readFeed(request));
  if (request.after !== undefined && request.after < oldest - 1) return { kind: 'expired', oldest };
  return { kind: 'items', items: items.map(toItem), oldest, newest, hasMore: has_more };
}

function toItem({ sequence, accepted_at, listed_at, meta_json, payload }: HistoryFeedItem): FeedItem {
  return {
    sequence,
    acceptedAt: new Date(accepted_at),
    listedAt: new Date(listed_at),
    meta: MessageMeta.parse(JSON.parse(meta_json)),
    payload: payload ?? Buffer.alloc(0),
  };
}
