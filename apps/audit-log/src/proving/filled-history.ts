import { newId } from '@posthaste/contracts';
import { inTransaction } from '@posthaste/runtime';
import { idsBySecond, numberIds, withoutIndexes } from '@posthaste/test-kit';
import type pg from 'pg';
import { bucketSql } from '../history/latency-buckets.js';
import { payloadKeys } from '../history/payload-keys.js';
import { indexedSince, insertPayloadKeys, type PayloadKeyRows } from '../history/sql/insert-payload-keys.js';

/**
 * A day of history of about so many attempts, written by the server itself: one account has nine tenths of it, a message
 * goes to three of its twenty endpoints, one delivery in 150 needs a second attempt and one in 6,000 is given up. What is
 * called rare is so once in 333,000 messages.
 */
export interface FilledHistory {
  tenant: string;
  /** The large account. */
  account: string;
  /** Of the large account: called for every message, for some, and hardly ever. */
  endpoints: { busy: string; usual: string; rare: string };
  /** When it begins and ends. */
  since: number;
  until: number;
}

const DAY_MS = 86_400_000;
const CHUNK_MESSAGES = 100_000;
const ATTEMPTS_PER_MESSAGE = 3.021;

export async function fillHistory(
  pool: pg.Pool,
  attempts: number,
  progress: (line: string) => void,
): Promise<FilledHistory> {
  const until = Math.floor(Date.now() / 1_000) * 1_000;
  const since = until - DAY_MS;
  const tenant = newId('tenant', since);
  const accounts = Array.from({ length: 101 }, () => newId('account', since));
  const endpoints = Array.from({ length: 20 }, () => newId('endpoint', since));
  await numberIds(pool, { account: accounts, endpoint: endpoints, second: idsBySecond(since, DAY_MS) });
  const startedAt = performance.now();
  const messages = Math.ceil(attempts / ATTEMPTS_PER_MESSAGE);
  await withoutIndexes(pool, 'history', ['message', 'delivery', 'attempt'], async () => {
    for (let from = 0; from < messages; from += CHUNK_MESSAGES) {
      const until = Math.min(from + CHUNK_MESSAGES, messages);
      const values = [from, until - 1, messages, since, tenant];
      for (const text of [MESSAGES, DELIVERIES, ATTEMPTS]) {
        // Each statement names what it uses of them.
        await pool.query(
          `with input as (select $1::int as first, $2::int as last, $3::int as messages,
          $4::bigint as since, $5::text as tenant) ${text}`,
          values,
        );
      }
      progress(`${Math.round((performance.now() - startedAt) / 1_000)} s: ${until} of ${messages} messages`);
    }
  });
  await pool.query(MINUTES);
  await indexPayloads(pool);
  progress(`${Math.round((performance.now() - startedAt) / 1_000)} s: indexed`);
  await pool.query('vacuum (analyze)');
  const [busy = '', usual = ''] = endpoints;
  return {
    tenant,
    account: accounts[0] ?? '',
    endpoints: { busy, usual, rare: endpoints[19] ?? '' },
    since,
    until,
  };
}

/** The keys of payloads are not SQL's to make. */
async function indexPayloads(pool: pg.Pool): Promise<void> {
  const kept = indexedSince(Date.now());
  for (let after = ''; ;) {
    const { rows } = await pool.query<{ id: string; account: string; at: number; payload: Buffer }>(
      `select id, account, accepted_at as at, payload from history.message
       where id > $1 order by id limit ${CHUNK_MESSAGES / 10}`,
      [after],
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
    const keyed: PayloadKeyRows['rows'] = rows
      .filter(({ at }) => at >= kept)
      .map(({ id, at, account, payload }) => ({ id, at, keys: payloadKeys(account, payload) }));
    await inTransaction(pool, (client) => insertPayloadKeys(client, { rows: keyed, gapUntil: 0 }));
  }
}

const MINUTES = `
insert into history.endpoint_minute (endpoint, minute, bucket, tenant, delivered, failed, deferred)
select endpoint, started_at / 60000, ${bucketSql('duration_ms')}, min(tenant), count(*) filter (where outcome = 'succeeded'),
  count(*) filter (where outcome = 'failed'), 0
from history.attempt group by 1, 2, 3`;

/** Every message of the chunk with its instant and ids; `k`, of 0 to 2, is the delivery. */
const MESSAGE = `one as (
  select i, since + i::bigint * ${DAY_MS} / messages as at, a.id as account, tenant, s.id as second,
    'msg_' || s.id || substr(md5(i::text), 1, 21) as message,
    case when i % 333000 = 3 then 'order.rare' when i % 3 = 0 then 'order.sent' else 'order.paid' end as event_type
  from input cross join generate_series(first, last) as i
  join filling.account a on a.n = case when i % 10 = 9 then 1 + i % 100 else 0 end
  join filling.second s on s.n = (i::bigint * ${DAY_MS / 1_000} / messages)
)`;

const MESSAGES = `, ${MESSAGE}
insert into history.message (accepted_at, id, tenant, account, event_type, meta, payload, position)
select at, message, tenant, account, event_type,
  json_build_object('v', 1, 'id', message, 'tenant', tenant, 'account', account, 'type', event_type,
    'channels', json_build_array('orders'),
    'tags', case when i % 333000 = 7 then json_build_array('rare') else json_build_array('n' || i % 7) end,
    'contentType', 'application/json', 'at', at, 'config', 4, 'routes', json_build_array(
      json_build_object('endpoint', account, 'version', 2), json_build_object('endpoint', account, 'version', 2),
      json_build_object('endpoint', account, 'version', 2)))::text,
  convert_to(json_build_object('order', json_build_object('id', i, 'state', 'paid'),
    'filler', repeat(md5(i::text), 25))::text, 'UTF8'),
  lpad(i::text, 20, '0')
from one`;

const DELIVERY = `${MESSAGE}, each as (
  select *, 'dlv_' || second || substr(md5(i || '/' || k), 1, 21) as delivery,
    case when k = 1 and i % 50 = 0 then 'late' when k = 2 and i % 2000 = 1 then 'exhausted' else 'delivered' end as fate,
    case when i % 333000 = 1 then 'dns' else 'timeout' end as error_class
  from one cross join generate_series(0, 2) as k
), sent as (
  select each.*, e.id as endpoint from each join filling.endpoint e on e.n =
    case when k = 0 then 0 when k = 1 then 1 + i % 9 when i % 333000 = 5 then 19 else 10 + i % 9 end
)`;

const DELIVERIES = `, ${DELIVERY}
insert into history.delivery (accepted_at, settled_at, attempts, last_status_code, last_error_class, id, message, tenant,
  account, endpoint, event_type, status, position, troubled)
select at, at + 100, case fate when 'delivered' then 1 else 2 end,
  case fate when 'exhausted' then null else 200 end, case fate when 'exhausted' then error_class end,
  delivery, message, tenant, account, endpoint, event_type, case fate when 'late' then 'delivered' else fate end,
  lpad(i::text, 20, '0'), case fate when 'delivered' then null else true end
from sent`;

const ATTEMPTS = `, ${DELIVERY}
insert into history.attempt (started_at, next_attempt_at, duration_ms, endpoint_version, number, response_status,
  response_truncated, delivery, id, tenant, account, endpoint, trigger, profile, outcome, error_class, error_message,
  address, request_url, request_headers, response_headers, timings, response_body)
select at + number * 50 + (number - 1) * 60000, null, 20 + i % 200, 2, number,
  case when is_good then 200 when fate = 'late' then 503 end, case when is_good or fate = 'late' then false end, delivery,
  'att_' || second || substr(md5(delivery || number), 1, 21), tenant, account, endpoint,
  case number when 1 then 'publish' else 'retry' end, 'standard', case when is_good then 'succeeded' else 'failed' end,
  case when is_good then null when fate = 'late' then 'http_status' else error_class end,
  case when is_good then null else 'It did not take the message.' end, '192.0.2.7:443', 'https://receiver.example/hook',
  '{"content-type":"application/json","user-agent":"Posthaste/1","webhook-id":"' || message ||
    '","webhook-timestamp":"1790000000","webhook-signature":"v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="}',
  '{"content-type":"text/plain","date":"Sat, 21 Nov 2026 07:00:00 GMT","connection":"keep-alive"}',
  '{"dnsMs":0.5,"connectMs":3.5,"tlsMs":2,"firstByteMs":7.25,"totalMs":8.5}', 'ok'
from sent cross join lateral generate_series(1, case fate when 'delivered' then 1 else 2 end) as number
cross join lateral (select fate = 'delivered' or (fate = 'late' and number = 2) as is_good) as said`;
