import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, type HistoryPage, newId, type PageRequest } from '@posthaste/contracts';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { seededRandom } from '@posthaste/test-kit';
import { applyFacts, type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import { historyMigrations } from '../migrations.js';
import { match } from '../proving/list-filters.js';
import { Retention } from '../retention/retention.js';
import { Retention1796000000002 } from '../retention/retention-migration.js';
import { shredPayload } from '../retention/shred-payloads.js';
import { historyProjection } from './history.projection.js';
import { DAY_MS } from './payload-keys.js';
import { PayloadKeys1798000000000 } from './payload-keys-migration.js';
import { sampleMessage } from './sample-facts.js';
import { insertMessages } from './sql/insert-messages.js';
import { insertPayloadKeys, toPayloadKeyRows } from './sql/insert-payload-keys.js';
import { listMessages } from './sql/select-messages.js';

// Searches of payloads find the same with the index, without it, and across its bounds; with it, in one page.

const { logger } = createLogger('payload-search-spec', 'silent');
const random = seededRandom();
const now = Date.now();
const HOUR = 3_600_000;
const tenant = newId('tenant');
let account: string;
let bed: HistoryBed;
let withoutIndex: HistoryBed;

beforeAll(async () => {
  bed = await startHistoryBed();
  await migrate(bed.url, 'retention', [Retention1796000000002]);
  const projection = historyProjection(bed.pool, () => undefined, { payloadIndex: false });
  withoutIndex = { ...bed, projection };
}, 60_000);
afterAll(() => bed.stop());
beforeEach(async () => {
  account = newId('account');
  await bed.pool.query(
    `truncate history.message, history.payload_key, history.swept, retention.tenant, retention.shredded;
     update history.payload_indexed set since = 0`,
  );
});

interface Order {
  /** One value for each, half of them, one in 40, one in 700. */
  id: number;
  state: 'paid' | 'sent';
  lines: { sku: string }[];
  rare?: null;
}

function someMessage(i: number, at: number): AcceptedMessage {
  const message = sampleMessage(
    { tenant, account, endpoint: newId('endpoint'), at },
    { type: i % 3 === 0 ? 'order.paid' : 'order.sent', ...(i % 5 === 0 ? { tags: ['blue'] } : {}) },
  );
  const order: Order = { id: i, state: i % 2 === 0 ? 'paid' : 'sent', lines: [{ sku: `S${i % 40}` }] };
  if (i % 700 === 13) order.rare = null;
  return { ...message, payload: Buffer.from(JSON.stringify({ order })) };
}

/** That many, evenly over the time up to `until`, three of an instant; the numbered ones go on with `from`. */
function someMessages(from: number, count: number, since: number, until: number): AcceptedMessage[] {
  return Array.from({ length: count }, (_, i) => {
    const step = Math.floor(i / 3) / Math.ceil(count / 3);
    return someMessage(from + i, Math.floor(since + (until - since) * step));
  });
}

async function arrive(messages: AcceptedMessage[], where = bed): Promise<AcceptedMessage[]> {
  for (let at = 0; at < messages.length; at += 500) await applyFacts(where, messages.slice(at, at + 500), []);
  return messages;
}

const searches = [
  match(['order', 'id'], 25),
  match(['order', 'state'], 'paid'),
  match(['order', 'lines', '0', 'sku'], 'S7'),
  match(['order', 'lines', '-1', 'sku'], 'S7'),
  match(['order', 'rare'], null),
  match(['order', 'none'], 1),
];

function holds({ payload }: AcceptedMessage, search: (typeof searches)[number]): boolean {
  const { order } = JSON.parse(payload.toString()) as { order: Order };
  switch (search) {
    case searches[0]:
      return order.id === 25;
    case searches[1]:
      return order.state === 'paid';
    case searches[2]:
    case searches[3]:
      return order.lines[0]?.sku === 'S7';
    case searches[4]:
      return order.rare === null;
    default:
      return false;
  }
}

interface Asked {
  payload: (typeof searches)[number];
  event_type?: string | undefined;
  tag?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

const expected = (messages: AcceptedMessage[], asked: Asked): string[] =>
  messages
    .filter(
      (message) =>
        holds(message, asked.payload) &&
        (asked.event_type === undefined || message.meta.type === asked.event_type) &&
        (asked.tag === undefined || (message.meta.tags ?? []).includes(asked.tag)) &&
        message.meta.at >= (asked.since ?? 0) &&
        message.meta.at < (asked.until ?? Infinity),
    )
    .map(({ meta }) => meta)
    .sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
    .map(({ id }) => id);

const search = (asked: Asked, page: PageRequest): Promise<HistoryPage<{ id: string; accepted_at: number }>> =>
  listMessages(bed.pool, { tenant, account, ...asked, page });

/** All ids, page after page, and how many pages it took. */
async function searchAll(
  asked: Asked,
  limit: number,
  between: () => Promise<unknown> = () => Promise.resolve(),
): Promise<{ ids: string[]; pages: number }> {
  const ids: string[] = [];
  let page: PageRequest = { limit };
  for (let pages = 1; ; pages++) {
    const { data, has_more, reached_at, reached_id } = await search(asked, page);
    expect(data.length).toBeLessThanOrEqual(limit);
    ids.push(...data.map(({ id }) => id));
    if (has_more !== true) return { ids, pages };
    const last = data.at(-1);
    page = { limit, after_at: reached_at ?? last?.accepted_at, after_id: reached_id ?? last?.id };
    await between();
  }
}

const maybe = <T>(value: T): T | undefined => (random.below(3) === 0 ? value : undefined);

/** Every search, alone and with other filters, is answered as by a model. */
async function expectFound(messages: AcceptedMessage[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const payload of searches) {
      const asked: Asked = {
        payload,
        event_type: maybe('order.paid'),
        tag: maybe('blue'),
        since: maybe(now - random.below(6 * HOUR)),
        until: maybe(now - random.below(6 * HOUR)),
      };
      const said = `seed ${random.seed}: ${JSON.stringify(asked)}`;
      const { ids } = await searchAll(asked, 1 + random.below(80));
      expect([said, ...ids]).toEqual([said, ...expected(messages, asked)]);
    }
  }
}

const keysLeft = async (ids: string[]): Promise<number> =>
  (await bed.pool.query('select from history.payload_key where message = any($1::text[])', [ids])).rowCount ??
  0;

async function sweep(nowMs: number): Promise<void> {
  const retention = new Retention({ logger, keptMs: 30 * DAY_MS, feedKeptMs: 30 * DAY_MS });
  await retention.shred(bed.pool, nowMs, 0);
  await retention.sweep(bed.pool, nowMs);
}

describe('a search of payloads', () => {
  it('finds what is rare among thousands on its first page, and knows that there is no more', async () => {
    const messages = await arrive(someMessages(0, 3_500, now - 6 * HOUR, now));
    const id = { payload: match(['order', 'id'], 25) };
    const all = expected(messages, { payload: searches[0] as Asked['payload'] });
    expect(await search(id, { limit: 5 })).toMatchObject({ data: [{ id: all[0] }], has_more: false });
    expect(await search({ ...id, event_type: 'order.sent', tag: 'blue' }, { limit: 5 })).toMatchObject({
      data: [{ id: all[0] }],
      has_more: false,
    });
    for (const none of [{ event_type: 'order.paid' }, { since: now - HOUR }, { until: now - 6 * HOUR }]) {
      expect(await search({ ...id, ...none }, { limit: 5 })).toMatchObject({ data: [], has_more: false });
    }
    expect((await search({ payload: match(['order', 'rare'], null) }, { limit: 9 })).data).toHaveLength(5);
  }, 60_000);

  it('finds the same as a model, by any filters together, whatever is common or rare', async () => {
    await expectFound(await arrive(someMessages(0, 2_500, now - 6 * HOUR, now)), 6);
  }, 90_000);

  it('goes on when it has looked at as many as a page may, of what the index named', async () => {
    // All have the value, and none the tag: nothing ends a page but the number that is looked at.
    const messages = await arrive(someMessages(0, 2_600, now - 6 * HOUR, now));
    const asked = { payload: match(['order', 'state'], 'paid'), tag: 'none' };
    expect(await search(asked, { limit: 5 })).toMatchObject({ data: [], has_more: true });
    const { ids, pages } = await searchAll(asked, 5);
    expect(ids).toEqual([]);
    // 500 rows as they come and 500 of the half that has the value, each time.
    expect(pages).toBe(Math.ceil(messages.length / 1_500));
  }, 60_000);

  it('tells what was there once, and nothing twice, while rows arrive', async () => {
    const messages = await arrive(someMessages(0, 2_000, now - 6 * HOUR, now));
    let next = messages.length;
    for (const payload of searches) {
      const before = expected(messages, { payload });
      const { ids } = await searchAll({ payload }, 3 + random.below(30), async () => {
        if (random.below(3) > 0) return;
        // Newer, older and between.
        const at = now - random.below(7 * HOUR) + HOUR;
        messages.push(...(await arrive(someMessages(next, 20, at, at + 50))));
        next += 20;
      });
      const said = `seed ${random.seed}: ${JSON.stringify(payload)}`;
      expect([said, new Set(ids).size]).toEqual([said, ids.length]);
      expect([said, before.filter((id) => !ids.includes(id))]).toEqual([said, []]);
      const after = expected(messages, { payload });
      expect([said, ids.filter((id) => !after.includes(id))]).toEqual([said, []]);
    }
  }, 90_000);

  it('looks at every message that has too much in it, or none, and passes by what is no JSON', async () => {
    const bodies = [
      JSON.stringify([...Array(999).keys()]),
      '{"a":1',
      '7',
      '',
      JSON.stringify({ a: 'x'.repeat(99_999), 9: 9 }),
    ];
    const odd = bodies.map((body) => ({ ...someMessage(0, now - 5 * HOUR), payload: Buffer.from(body) }));
    await arrive([...odd, ...someMessages(0, 1_200, now - 4 * HOUR, now)]);
    const find = async (path: string[], value: unknown): Promise<string[]> =>
      (await search({ payload: match(path, value) }, { limit: 5 })).data.map(({ id }) => id);
    expect(await find(['9'], 9)).toEqual([odd[4]?.meta.id, odd[0]?.meta.id].sort().reverse());
    expect(await find(['998'], 998)).toEqual([odd[0]?.meta.id]);
    expect(await find([], 7)).toEqual([odd[2]?.meta.id]);
  }, 60_000);

  it("names none of another account's", async () => {
    await arrive(someMessages(0, 1_000, now - HOUR, now));
    const of = account;
    account = newId('account');
    await arrive(someMessages(0, 600, now - HOUR, now));
    const { rows } = await bed.pool.query<{ shared: number }>(
      `select count(*)::int as shared from (
         select unnest(keys) from history.payload_key join history.message on id = message where account = $1
         intersect select unnest(keys) from history.payload_key join history.message on id = message where account = $2) as common`,
      [of, account],
    );
    // 32 bits tell a few thousand keys apart, nearly always.
    expect(rows[0]?.shared).toBeLessThan(5);
  }, 60_000);
});

describe('where the index ends', () => {
  it('a search goes on as without it: behind what was accepted two days ago', async () => {
    const old = await arrive(someMessages(0, 1_300, now - 5 * DAY_MS, now - 2 * DAY_MS));
    const messages = [...old, ...(await arrive(someMessages(1_300, 1_300, now - DAY_MS, now)))];
    expect(await keysLeft(messages.map(({ meta }) => meta.id))).toBe(1_300);
    const payload = match(['order', 'id'], 1_301);
    const first = await search({ payload }, { limit: 5 });
    expect(first).toMatchObject({ data: [{}], has_more: true });
    expect((await searchAll({ payload }, 5)).pages).toBe(4);
    await expectFound(messages, 4);
  }, 90_000);

  it('is where it was switched off, for a while or for good', async () => {
    const parts = [bed, withoutIndex, bed, withoutIndex];
    const messages: AcceptedMessage[] = [];
    for (const [i, where] of parts.entries()) {
      const since = now - (4 - i) * HOUR;
      messages.push(...(await arrive(someMessages(messages.length, 700, since, since + HOUR), where)));
      await expectFound(messages, 1);
    }
    const { rows } = await bed.pool.query<{ since: number }>('select since from history.payload_indexed');
    expect(rows[0]?.since).toBeGreaterThan(messages.at(-1)?.meta.at ?? Infinity);
  }, 90_000);

  it('is where it came to a history that was there already', async () => {
    await bed.pool.query('create database upgraded');
    const url = bed.url.replace(/\/[^/?]+(?=\?|$)/, '/upgraded');
    const before = historyMigrations.filter((one) => one !== PayloadKeys1798000000000);
    await migrate(url, 'history', before);
    const pool = createPool({ url, name: 'spec-upgraded', max: 1, logger });
    try {
      const messages = someMessages(0, 900, now - HOUR, now);
      const client = await pool.connect();
      await insertMessages(
        client,
        messages.map((message) => ({ ...message, metaJson: JSON.stringify(message.meta), position: '' })),
      );
      client.release();
      await migrate(url, 'history', historyMigrations);
      const asked = { tenant, account, payload: match(['order', 'id'], 25) };
      const first = await listMessages(pool, { ...asked, page: { limit: 5 } });
      expect(first).toMatchObject({ data: [], has_more: true });
      const page = { limit: 5, after_at: first.reached_at, after_id: first.reached_id };
      expect(await listMessages(pool, { ...asked, page })).toMatchObject({
        data: [{ id: messages[25]?.meta.id }],
        has_more: false,
      });
    } finally {
      await pool.end();
    }
  }, 60_000);

  it('is where a replica without it wrote something in between', async () => {
    const messages = someMessages(0, 1_800, now - 3 * HOUR, now);
    const odd = messages.filter((_, i) => i === 600);
    await arrive(messages.filter((message) => !odd.includes(message)));
    await arrive(odd, withoutIndex);
    const payload = match(['order', 'id'], 600);
    expect((await searchAll({ payload }, 5)).ids).toEqual([odd[0]?.meta.id]);
    await expectFound(messages, 2);
  }, 60_000);
});

describe('keys', () => {
  it('go with the payload that is shredded, and with the payloads of a tenant that is gone', async () => {
    const messages = await arrive(someMessages(0, 1_200, now - HOUR, now));
    const ids = messages.map(({ meta }) => meta.id);
    const [id = ''] = ids;
    await bed.pool.query(`update history.delivery set status = 'delivered' where message = $1`, [id]);
    expect(await keysLeft([id])).toBe(1);
    expect(await shredPayload(bed.pool, { tenant, id, by: 'key_1' }, now)).toEqual({ found: true, open: 0 });
    expect(await keysLeft([id])).toBe(0);
    expect(await keysLeft(ids)).toBe(1_199);
    await bed.pool.query(`insert into retention.tenant values ($1, 1, null, true)`, [tenant]);
    await sweep(now);
    expect(await keysLeft(ids)).toBe(0);
  }, 60_000);

  it('go with the messages that a tenant does not keep so long', async () => {
    const old = await arrive(someMessages(0, 300, now - DAY_MS, now - DAY_MS + 60_000));
    const young = await arrive(someMessages(0, 300, now - HOUR, now));
    expect(await keysLeft(old.map(({ meta }) => meta.id))).toBe(300);
    await bed.pool.query(`insert into retention.tenant values ($1, 1, 1, false)`, [tenant]);
    await sweep(now + HOUR);
    expect(await keysLeft(old.map(({ meta }) => meta.id))).toBe(0);
    expect(await keysLeft(young.map(({ meta }) => meta.id))).toBe(300);
  }, 60_000);

  it('go with the messages that the installation does not keep so long', async () => {
    const old = await arrive(someMessages(0, 300, now - 2 * HOUR, now - HOUR));
    const young = await arrive(someMessages(0, 300, now - 60_000, now));
    const retention = new Retention({ logger, keptMs: HOUR / 2, feedKeptMs: HOUR / 2 });
    await retention.sweep(bed.pool, now);
    expect(await keysLeft(old.map(({ meta }) => meta.id))).toBe(0);
    expect(await keysLeft(young.map(({ meta }) => meta.id))).toBe(300);
  }, 60_000);

  it('go a day at a time, once the day is over a day old, and what they named is found without them', async () => {
    const messages = await arrive(someMessages(0, 1_200, now - 2 * HOUR, now));
    const days = [...new Set(messages.map(({ meta }) => Math.floor(meta.at / DAY_MS)))];
    const tables = async (): Promise<number[]> =>
      (
        await bed.pool.query<{ day: number }>(
          `select substring(relname from '\\d+$')::int as day from pg_inherits join pg_class c on c.oid = inhrelid
           where inhparent = 'history.payload_key'::regclass and substring(relname from '\\d+$')::int = any($1) order by 1`,
          [days],
        )
      ).rows.map(({ day }) => day);
    await sweep(now + DAY_MS - 3 * HOUR);
    expect(await tables()).toEqual(days);
    await sweep((Math.max(...days) + 2) * DAY_MS);
    expect(await tables()).toEqual([]);
    await expectFound(messages, 2);
    // The tables of the days are made again.
    messages.push(...(await arrive(someMessages(1_200, 3, now, now))));
    await expectFound(messages, 1);
  }, 60_000);

  it('of a day are written by whoever comes first, many at once', async () => {
    const ahead = now + 400 * DAY_MS;
    const rows = Array.from({ length: 4 }, (_, i) => someMessages(i * 50, 50, ahead, ahead + 5 * DAY_MS));
    const write = async (messages: AcceptedMessage[]): Promise<void> => {
      const client = await bed.pool.connect();
      try {
        await client.query('begin');
        const of = messages.map((message) => ({ ...message, metaJson: '', position: '' }));
        await insertPayloadKeys(client, toPayloadKeyRows(of, true, now));
        await client.query('commit');
      } finally {
        client.release();
      }
    };
    await Promise.all(rows.map(write));
    expect(await keysLeft(rows.flat().map(({ meta }) => meta.id))).toBe(200);
    const parts = await bed.pool.query(
      `select from pg_inherits where inhparent = 'history.payload_key'::regclass and inhrelid::regclass::text ~ $1`,
      [`_(${[0, 1, 2, 3, 4].map((n) => Math.floor(ahead / DAY_MS) + n).join('|')})$`],
    );
    expect(parts.rowCount).toBe(5);
  }, 60_000);
});
