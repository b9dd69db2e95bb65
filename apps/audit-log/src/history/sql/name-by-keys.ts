import type { ListMessagesRequest } from '@posthaste/contracts';
import { bucketOf, SLOT_MS, soughtKeys } from '../payload-keys.js';
import { indexedSince } from './insert-payload-keys.js';
import { type Bind, LOOKED_AT, type Place } from './list-page.js';

/**
 * More at once would gather too much of what is common, fewer would ask too often: what is not yet in its place in the
 * index is read through each time.
 */
const MAX_WINDOW_SLOTS = 4;

/**
 * SQL that names the messages whose keys say that they may have what is searched for in payloads, newest first, behind a
 * place of the list. It asks for one half-hour and then for more at a time, as only the rows of one such window have to be
 * gathered before the newest of them are known, and stops at `LOOKED_AT` rows. Undefined when the index cannot help.
 */
export function namedByKeys(
  { account, payload, since = 0 }: Pick<ListMessagesRequest, 'account' | 'payload' | 'since'>,
  { reached_at, reached_id }: Place,
  nowMs: number,
): ((bind: Bind) => string) | undefined {
  const lowest = Math.max(indexedSince(nowMs), since);
  const keys = payload && soughtKeys(account, payload);
  if (keys === undefined || reached_at < lowest) return undefined;
  const windows = windowsBack(reached_at, lowest, keys);
  return (bind) => {
    const [after, afterId] = [`${bind(reached_at)}::bigint`, `${bind(reached_id)}::text`];
    const [from, before, first, last] = (['from', 'before', 'first', 'last'] as const).map((name) =>
      bind(windows.map((window) => window[name])),
    );
    const buckets = bind(windows.flatMap((window) => window.buckets));
    // Where the index does not know all there is behind the given place, it names nothing, and the list goes on there.
    return `indexed as materialized (
        select greatest(coalesce((select since from history.payload_indexed), ${Number.MAX_SAFE_INTEGER}), ${bind(lowest)}::bigint) as since
      ), bound as materialized (
        select least(since, ${after}) as at, case when since > ${after} then ${afterId} else '' end as id from indexed
      ), candidate as materialized (
        select named.* from unnest(${from}::bigint[], ${before}::bigint[], ${first}::int4[], ${last}::int4[])
          with ordinality as slots (since, before, first, last, nth)
        cross join lateral (
          select accepted_at as candidate_at, message as candidate_id from history.payload_key
          where buckets && (${buckets}::int4[])[slots.first:slots.last] and keys && ${bind(keys)}::int4[]
            and accepted_at >= slots.since and accepted_at < slots.before
            and (accepted_at, message) >= ((select at from bound), (select id from bound))
            and (accepted_at, message) < (${after}, ${afterId})
          order by accepted_at desc, message desc limit ${LOOKED_AT}
        ) as named
        order by nth, candidate_at desc, candidate_id desc limit ${LOOKED_AT}
      )`;
  };
}

interface Window {
  from: number;
  before: number;
  /** Where its buckets are among all. */
  first: number;
  last: number;
  buckets: number[];
}

/** The time down to `lowest`, in 1, 1, 2, 3 and then 4 half-hours. */
function windowsBack(reachedAt: number, lowest: number, keys: number[]): Window[] {
  const windows: Window[] = [];
  let end = reachedAt - (reachedAt % SLOT_MS) + SLOT_MS;
  let first = 1;
  for (let slots = 1; end > lowest; slots = Math.min(windows.length, MAX_WINDOW_SLOTS)) {
    const before = end;
    const buckets: number[] = [];
    for (let slot = 0; slot < slots; slot++) {
      end -= SLOT_MS;
      for (const key of keys) buckets.push(bucketOf(end, key));
    }
    windows.push({ from: end, before, first, last: first + buckets.length - 1, buckets });
    first += buckets.length;
  }
  return windows;
}
