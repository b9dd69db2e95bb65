import { int4Array, int8Array, textArray } from '@posthaste/pg-arrays';
import type pg from 'pg';
import { bucketOf, DAY_MS, payloadKeys } from '../payload-keys.js';
import type { MessageRow } from './insert-messages.js';

/** The rows of a batch, and whether it leaves a gap in the index. */
export interface PayloadKeyRows {
  rows: { id: string; at: number; keys: number[] }[];
  /** After the last message that gets no keys, although a search may have to find it; 0 when there is none. */
  gapUntil: number;
}

/** How long the keys of a message are kept at least. */
const KEPT_MS = DAY_MS;
/** How far ahead a gap is noted, so that it is not noted with every batch. */
const GAP_STEP_MS = 600_000;

/** When the oldest day began whose keys are kept. */
export function indexedSince(nowMs: number): number {
  const kept = nowMs - KEPT_MS;
  return kept - (kept % DAY_MS);
}

export function toPayloadKeyRows(messages: MessageRow[], isIndexed: boolean, nowMs: number): PayloadKeyRows {
  const since = isIndexed ? indexedSince(nowMs) : Infinity;
  const found: PayloadKeyRows = { rows: [], gapUntil: 0 };
  for (const { meta, payload } of messages) {
    const { id, account, at } = meta;
    if (at < since) {
      found.gapUntil = Math.max(found.gapUntil, at - (at % GAP_STEP_MS) + GAP_STEP_MS);
      continue;
    }
    const keys = payloadKeys(account, payload);
    if (keys.length > 0) found.rows.push({ id, at, keys });
  }
  return found;
}

/**
 * Writes the keys of messages, and first the tables of their days when nobody has. Which there are is asked every time:
 * a rebuild may have put others in their place. While it is asked, and until the transaction ends, none can be dropped.
 */
export async function insertPayloadKeys(
  client: pg.PoolClient,
  { rows, gapUntil }: PayloadKeyRows,
): Promise<void> {
  if (rows.length > 0) {
    const days = [...new Set(rows.map(({ at }) => dayOf(at)))];
    const made = await insertRows(client, rows, days);
    const missing = days.filter((day) => !made.includes(day));
    for (const day of missing) await makeDay(client, day);
    if (missing.length > 0) await insertRows(client, rows, days);
  }
  if (gapUntil > 0) await noteGap(client, gapUntil);
}

/** Of messages that are gone, or whose payload is. */
export async function deletePayloadKeys(client: pg.PoolClient, messages: string[]): Promise<void> {
  await client.query('delete from history.payload_key where message = any($1::text[])', [messages]);
}

/** Nothing that was accepted before `until` is looked for in the index from now on. */
export async function noteGap(client: pg.PoolClient, until: number): Promise<void> {
  await client.query({
    name: 'note-payload-gap',
    text: 'update history.payload_indexed set since = $1 where since < $1',
    values: [until],
  });
}

const dayOf = (at: number): number => Math.floor(at / DAY_MS);

/** Into the tables there are; answers the days that have one. */
async function insertRows(
  client: pg.PoolClient,
  rows: PayloadKeyRows['rows'],
  days: number[],
): Promise<number[]> {
  // PostgreSQL has no arrays of arrays of many lengths: all keys in one, and where each row's begin and end.
  const [firsts, lasts]: [number[], number[]] = [[], []];
  const [keys, buckets]: [number[], number[]] = [[], []];
  for (const row of rows) {
    firsts.push(keys.length + 1);
    for (const key of row.keys) {
      keys.push(key);
      buckets.push(bucketOf(row.at, key));
    }
    lasts.push(keys.length);
  }
  const { rows: made } = await client.query<{ day: number }>({
    name: 'insert-payload-keys',
    text: `with made as materialized (
             select day from unnest($1::int4[]) as day where to_regclass('history.payload_key_' || day) is not null
           ), written as (
             insert into history.payload_key (accepted_at, message, keys, buckets)
             select k.at, k.message, ($6::int4[])[k.first:k.last], ($7::int4[])[k.first:k.last]
             from unnest($2::bigint[], $3::text[], $4::int4[], $5::int4[]) as k (at, message, first, last)
             join made on made.day = k.at / ${DAY_MS}
             on conflict do nothing
           )
           select day from made`,
    values: [
      int4Array(days),
      int8Array(rows.map(({ at }) => at)),
      textArray(rows.map(({ id }) => id)),
      int4Array(firsts),
      int4Array(lasts),
      int4Array(keys),
      int4Array(buckets),
    ],
  });
  return made.map(({ day }) => day);
}

/**
 * Attached, not created as a part: that would wait for all who read or write the others. The lock is the one that
 * attaching takes. Whoever gets it second finds the table made, which an advisory lock would not see to: a session hears of
 * new tables when it locks one.
 */
async function makeDay(client: pg.PoolClient, day: number): Promise<void> {
  const table = `history.payload_key_${day}`;
  await client.query(
    `do $$ begin
       lock table history.payload_key in share update exclusive mode;
       if to_regclass('${table}') is null then
         create table ${table} (like history.payload_key including all);
         alter table history.payload_key attach partition ${table}
           for values from (${day * DAY_MS}) to (${(day + 1) * DAY_MS});
       end if;
     end $$`,
  );
}
