import type { ListMessagesRequest } from '@posthaste/contracts';
import { SLOT_MS, soughtKeys } from '../payload-keys.js';
import { indexedSince } from './insert-payload-keys.js';
import { type Bind, LOOKED_AT, type Place } from './list-page.js';

/**
 * SQL that names the messages whose keys say that they may have what is searched for in payloads, newest first, behind a
 * place of the list: half-hour by half-hour, for only rows of one half-hour have to be gathered before the newest of them
 * are known. It stops at `LOOKED_AT` of them. Undefined when the index cannot help.
 */
export function namedByKeys(
  { account, payload, since = 0 }: Pick<ListMessagesRequest, 'account' | 'payload' | 'since'>,
  { reached_at, reached_id }: Place,
  nowMs: number,
): ((bind: Bind) => string) | undefined {
  const lowest = Math.max(indexedSince(nowMs), since);
  const keysAt = payload && soughtKeys(account, payload);
  if (keysAt === undefined || reached_at < lowest) return undefined;
  const slots: number[] = [];
  for (let at = reached_at - (reached_at % SLOT_MS); at > lowest - SLOT_MS; at -= SLOT_MS) slots.push(at);
  const keys = slots.map(keysAt);
  return (bind) => {
    const [after, afterId] = [`${bind(reached_at)}::bigint`, `${bind(reached_id)}::text`];
    const values = [slots, keys.map(([key]) => key), keys.map(([, lookAtMe]) => lookAtMe)].map(bind);
    // Where the index does not know all there is behind the given place, it names nothing, and the list goes on there.
    return `indexed as materialized (
        select greatest(coalesce((select since from history.payload_indexed), ${Number.MAX_SAFE_INTEGER}), ${bind(lowest)}::bigint) as since
      ), bound as materialized (
        select least(since, ${after}) as at, case when since > ${after} then ${afterId} else '' end as id from indexed
      ), candidate as materialized (
        select named.* from unnest(${values[0]}::bigint[], ${values[1]}::int4[], ${values[2]}::int4[])
          with ordinality as slot (at, key, look_at_me, nth)
        cross join lateral (
          select accepted_at as candidate_at, message as candidate_id from history.payload_key
          where keys && array[slot.key, slot.look_at_me]
            and accepted_at >= slot.at and accepted_at < slot.at + ${SLOT_MS}
            and (accepted_at, message) >= ((select at from bound), (select id from bound))
            and (accepted_at, message) < (${after}, ${afterId})
          order by accepted_at desc, message desc limit ${LOOKED_AT}
        ) as named
        order by nth, candidate_at desc, candidate_id desc limit ${LOOKED_AT}
      )`;
  };
}
