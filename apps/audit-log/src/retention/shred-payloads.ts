import { lowestId, type ShredPayloadReply, type ShredPayloadRequest } from '@posthaste/contracts';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { deletePayloadKeys } from '../history/sql/insert-payload-keys.js';
import { walkedSoFar, walkedTo, windowOf } from './walks.js';

const BATCH_ROWS = 500;
const MINUTE = 60_000;
const OPEN = `('pending', 'retrying', 'deferred')`;

/**
 * Shreds one message's payload: it and what receivers answered are gone from history, while ids, times, states, sizes
 * and the payload's hash stay. Its tombstone sees to it that a history read again from the log does not have it back.
 *
 * Not while a delivery of it is open: an attempt needs the payload. Shredded again, it stays shredded.
 */
export async function shredPayload(
  pool: pg.Pool,
  { tenant, id, by }: ShredPayloadRequest,
  nowMs: number,
): Promise<ShredPayloadReply> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ open: number }>(
      `select (select count(*)::int from history.delivery d
               where d.account = m.account and d.accepted_at = m.accepted_at and d.message = m.id
                 and d.status in ${OPEN}) as open
       from history.message m where m.id = $1 and m.tenant = $2 for update of m`,
      [id, tenant],
    );
    const [found] = rows;
    if (!found) return { found: false, open: 0 };
    if (found.open > 0) return { found: true, open: found.open };
    await client.query(
      `insert into retention.shredded (message, tenant, shredded_at, shredded_by) values ($1, $2, $3, $4)
       on conflict do nothing`,
      [id, tenant, nowMs, by],
    );
    await shredRows(client, [id], nowMs);
    return { found: true, open: 0 };
  });
}

/**
 * Once more, for what came back or came late: a history read again from the log, the report of an attempt. Answers how
 * many payloads it found.
 *
 * @param since only what was shredded at or after (ms since 1970)
 */
export async function shredAgain(
  pool: pg.Pool,
  since: number,
  nowMs: number,
  pause: () => Promise<boolean>,
): Promise<number> {
  let shredded = 0;
  for (let after = ''; await pause();) {
    const { rows } = await pool.query<{ message: string }>(
      `select message from retention.shredded where shredded_at >= $1 and message > $2
       order by message limit ${BATCH_ROWS}`,
      [since, after],
    );
    const ids = rows.map(({ message }) => message);
    shredded += await inTransaction(pool, (client) => shredRows(client, ids, nowMs));
    if (ids.length < BATCH_ROWS) break;
    after = ids.at(-1) ?? '';
  }
  return shredded;
}

/** All payloads of the tenants that are gone, whose keys are destroyed already. Answers how many. */
export async function shredDeletedTenants(
  pool: pg.Pool,
  nowMs: number,
  pause: () => Promise<boolean>,
): Promise<number> {
  const { rows: tenants } = await pool.query<{ id: string }>(
    'select id from retention.tenant where deleted order by id',
  );
  let shredded = 0;
  for (const { id } of tenants) {
    for (let more = true; more && (await pause());) {
      await inTransaction(pool, async (client) => {
        const walk = `shred ${id}`;
        const walked = await walkedSoFar(client, walk, nowMs);
        const found = await windowOf(
          client,
          'message',
          id,
          walked.message,
          lowestId('message', nowMs + MINUTE),
        );
        shredded += await shredRows(client, found.ids, nowMs);
        await walkedTo(client, walk, { ...walked, message: found.reached });
        more = found.more;
      });
    }
  }
  return shredded;
}

async function shredRows(client: pg.PoolClient, messages: string[], nowMs: number): Promise<number> {
  if (messages.length === 0) return 0;
  const { rowCount } = await client.query(
    `update history.message set shredded_at = coalesce((
         select t.shredded_at from retention.shredded t where t.message = message.id), $2),
       payload_sha256 = encode(sha256(payload), 'hex'), payload_bytes = length(payload), payload = ''
     where id = any($1::text[]) and shredded_at is null`,
    [messages, nowMs],
  );
  await deletePayloadKeys(client, messages);
  // Of the message's account and instant, where the index finds its deliveries.
  await client.query(
    `with theirs as materialized (
       select d.id from unnest($1::text[]) as w (id) join history.message m on m.id = w.id
       join history.delivery d on d.account = m.account and d.accepted_at = m.accepted_at and d.message = m.id
     ), answers as (
       update history.attempt a set response_body = ''
       from theirs where a.delivery = theirs.id and length(a.response_body) > 0
     )
     update history.shadow_attempt s set event = regexp_replace(event, '"body":"[^"]*"', '"body":""', 'g')
     from theirs where s.delivery = theirs.id and event ~ '"body":"[^"]'`,
    [messages],
  );
  return rowCount ?? 0;
}
