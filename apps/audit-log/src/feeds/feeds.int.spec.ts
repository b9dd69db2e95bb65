import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, newId, topics } from '@posthaste/contracts';
import type { ProjectionBatch } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { seededRandom } from '@posthaste/test-kit';
import type pg from 'pg';
import { historyProjection } from '../history/history.projection.js';
import { sampleMessage } from '../history/sample-facts.js';
import { deleteExpiredItems } from './sql/delete-expired-items.js';
import { feedHeads, readFeed } from './sql/select-feed.js';
import { historyMigrations } from '../migrations.js';

const TABLES = ['message', 'delivery', 'feed_head', 'feed_item'];
let postgres: TemporaryPostgres;
let pool: pg.Pool;
let projection: ReturnType<typeof historyProjection>;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('feeds');
  await migrate(postgres.url, 'history', historyMigrations);
  const { logger } = createLogger('feeds-spec', 'silent');
  pool = createPool({ url: postgres.url, name: 'spec', max: 6, logger });
  projection = historyProjection(pool, ({ reason }) => {
    throw new Error(reason);
  });
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.remove();
});
beforeEach(reset);

async function reset(): Promise<void> {
  await pool.query(`truncate history.position, ${TABLES.map((table) => `history.${table}`).join(', ')}`);
  await projection.loadPositions([0, 1].map((partition) => ({ topic: 'messages', partition })));
}

/** Without positions: whatever comes twice moves those behind it. They have a spec of their own. */
async function rows(): Promise<Record<string, Record<string, unknown>[]>> {
  const dump: Record<string, Record<string, unknown>[]> = {};
  for (const table of TABLES) {
    const found = await pool.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(t) - 'position' as row from history.${table} t order by to_jsonb(t)::text`,
    );
    dump[table] = found.rows.map(({ row }) => row);
  }
  return dump;
}

function batchOf(partition: number, from: number, messages: AcceptedMessage[]): ProjectionBatch {
  const records = messages.map((message, i) => ({
    ...topics.messages.encode(message),
    offset: from + i,
    appendedAt: 0,
  }));
  return { topic: 'messages', partition, from, records, next: from + records.length };
}

const at = 1_790_000_000_000;
const tenant = newId('tenant', at);

/** An account's messages, each routed to a push endpoint and to some of the account's feeds. */
function traffic(feeds: string[], count: number, below: (limit: number) => number): AcceptedMessage[] {
  const account = newId('account', at);
  const push = newId('endpoint', at);
  return Array.from({ length: count }, (_, i) =>
    sampleMessage(
      { tenant, account, endpoint: push, at: at + i },
      {
        routes: [
          { endpoint: push, version: 1 },
          ...feeds.flatMap((endpoint) =>
            below(3) === 0 ? [] : [{ endpoint, version: 1, feed: true as const }],
          ),
        ],
      },
    ),
  );
}

const feedsOf = (count: number): string[] => Array.from({ length: count }, () => newId('endpoint', at));
const inFeed = (messages: AcceptedMessage[], feed: string): AcceptedMessage[] =>
  messages.filter(({ meta }) => meta.routes.some(({ endpoint }) => endpoint === feed));

describe('the items of feeds', () => {
  it('are numbered without a gap in the order of the log, the same in whatever batches, and whatever comes twice', async () => {
    const random = seededRandom();
    const below = (limit: number): number => random.below(limit);
    const feeds = [feedsOf(2), feedsOf(1)];
    const partitions = feeds.map((some) => traffic(some, 12, below));
    try {
      await projection.apply(partitions.map((messages, partition) => batchOf(partition, 0, messages)));
      const expected = await rows();
      for (const [partition, messages] of partitions.entries()) {
        for (const feed of feeds[partition] ?? []) {
          const items = (expected.feed_item ?? []).filter(({ endpoint }) => endpoint === feed);
          const inOrder = items.sort((a, b) => Number(a.sequence) - Number(b.sequence));
          expect(inOrder.map(({ sequence, message }) => [sequence, message])).toEqual(
            inFeed(messages, feed).map(({ meta }, i) => [i + 1, meta.id]),
          );
        }
      }
      const routed = partitions.flat().flatMap(({ meta }) => meta.routes.map(({ feed = false }) => feed));
      const deliveries = expected.delivery ?? [];
      expect(deliveries).toHaveLength(routed.length);
      const fed = deliveries.filter(({ status }) => status === 'delivered');
      expect(fed).toHaveLength(routed.filter(Boolean).length);
      for (const row of fed) expect(row).toMatchObject({ attempts: 0, settled_at: row.accepted_at });

      for (let round = 0; round < 10; round++) {
        await reset();
        await applyShredded(partitions, below);
        expect(await rows()).toEqual(expected);
      }
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  }, 30_000);

  /** Small batches of both partitions, sometimes together; records repeat, as after a producer's retry. */
  async function applyShredded(
    partitions: AcceptedMessage[][],
    below: (limit: number) => number,
  ): Promise<void> {
    const queues = partitions.map((messages, partition) => ({
      partition,
      from: 0,
      items: messages.flatMap((item, i) =>
        below(3) === 0 ? [item, ...messages.slice(below(i + 1), i + 1)] : [item],
      ),
    }));
    for (;;) {
      const open = queues.filter(({ items }) => items.length > 0);
      if (open.length === 0) return;
      const together = below(2) === 0 ? open : open.slice(0, 1);
      const batches = together.map((queue) => {
        const batch = batchOf(queue.partition, queue.from, queue.items.splice(0, 1 + below(4)));
        queue.from = batch.next;
        return batch;
      });
      expect(await projection.apply(batches)).toBe('applied');
    }
  }

  it('are counted once when two instances are given the same batch', async () => {
    const [feed = ''] = feedsOf(1);
    const batches = [
      batchOf(
        0,
        0,
        traffic([feed], 9, () => 1),
      ),
    ];
    const other = historyProjection(pool, () => undefined);
    const results = await Promise.all([projection.apply(batches), other.apply(batches)]);
    expect(results.sort()).toEqual(['applied', 'conflict']);
    expect(await feedHeads(pool, [feed, newId('endpoint')])).toEqual([{ endpoint: feed, newest: 9 }]);
  });
});

describe('a page of a feed', () => {
  const [feed = ''] = feedsOf(1);
  let messages: AcceptedMessage[];
  const read = async (more: object, keptSince = 0) => {
    const page = await readFeed(pool, { tenant, endpoint: feed, limit: 50, ...more }, keptSince);
    return { ...page, items: page.items.map(({ sequence }) => sequence) };
  };

  beforeEach(async () => {
    messages = traffic([feed], 6, () => 1);
    await projection.apply([batchOf(0, 0, messages)]);
  });

  it('holds the messages as they were accepted, oldest first', async () => {
    const { items, ...page } = await readFeed(pool, { tenant, endpoint: feed, limit: 3 }, 0);
    expect(page).toEqual({ oldest: 1, newest: 6, has_more: true });
    expect(items).toEqual(
      messages.slice(0, 3).map(({ meta, payload }, i) => ({
        sequence: i + 1,
        message: meta.id,
        accepted_at: meta.at,
        listed_at: meta.at,
        meta_json: JSON.stringify(meta),
        payload,
      })),
    );
  });

  it('begins after a sequence or a time and ends before a time', async () => {
    expect(await read({ after: 4 })).toMatchObject({ items: [5, 6], has_more: false });
    expect(await read({ after: 6 })).toMatchObject({ items: [], oldest: 1, newest: 6, has_more: false });
    expect(await read({ after: 2, limit: 2 })).toMatchObject({ items: [3, 4], has_more: true });
    expect(await read({ since: at + 1 })).toMatchObject({ items: [3, 4, 5, 6] });
    expect(await read({ until: at + 2 })).toMatchObject({ items: [1, 2], has_more: false });
    expect(await read({ since: at, until: at + 3, limit: 1 })).toMatchObject({ items: [2], has_more: true });
  });

  it('ends early rather than grow large', async () => {
    await reset();
    for (const message of messages) message.payload = Buffer.alloc(2_000_000, 7);
    await projection.apply([batchOf(0, 0, messages)]);
    expect(await read({})).toMatchObject({ items: [1, 2, 3], has_more: true });
    expect(await read({ after: 3 })).toMatchObject({ items: [4, 5, 6], has_more: false });
  });

  it('begins with the first item that has not aged out, and has no hole behind it', async () => {
    expect(await read({}, at + 2)).toMatchObject({ items: [3, 4, 5, 6], oldest: 3, newest: 6 });
    // Accepted by a replica whose clock is behind.
    const [late] = traffic([feed], 1, () => 1);
    await projection.apply([batchOf(0, 6, late ? [late] : [])]);
    expect(await read({}, at + 2)).toMatchObject({ items: [3, 4, 5, 6, 7], oldest: 3 });
    expect(await read({}, at + 60_000)).toMatchObject({ items: [], oldest: 8, newest: 7, has_more: false });
  });

  it('is gone on from by time alone without losing any: of one millisecond, or accepted before the last one seen', async () => {
    await reset();
    const random = seededRandom();
    const batch = traffic([feed], 60, () => 1);
    for (const { meta } of batch) meta.at = at;
    const later = traffic([feed], 30, () => 1);
    // Into the log after others that were accepted later, by several replicas at once.
    for (const { meta } of later) meta.at = at - 20 + random.below(40);
    await projection.apply([batchOf(0, 0, batch)]);
    let since = at - 1;
    const seen: number[] = [];
    const readOn = async (): Promise<number> => {
      const page = await readFeed(pool, { tenant, endpoint: feed, limit: 50, since }, 0);
      seen.push(...page.items.map(({ sequence }) => sequence));
      since = page.items.at(-1)?.listed_at ?? since;
      return page.items.length;
    };
    expect(await readOn()).toBe(50);
    await projection.apply([batchOf(0, 60, later.slice(0, 20))]);
    expect(await readOn()).toBe(30);
    await projection.apply([batchOf(0, 80, later.slice(20))]);
    while ((await readOn()) > 0);
    expect({ seed: random.seed, seen }).toEqual({
      seed: random.seed,
      seen: Array.from({ length: 90 }, (_, i) => i + 1),
    });
    const { items } = await readFeed(pool, { tenant, endpoint: feed, limit: 90 }, 0);
    for (const { accepted_at, listed_at } of items) expect(listed_at).toBeGreaterThanOrEqual(accepted_at);
    // Whoever follows from now on asks by when things were accepted.
    const accepted = await readFeed(pool, { tenant, endpoint: feed, limit: 200, accepted_since: at }, 0);
    expect(accepted.items.map(({ sequence }) => sequence)).toEqual(
      later.flatMap(({ meta }, i) => (meta.at > at ? [61 + i] : [])),
    );
  });

  it("shows nothing of another tenant's feed, nor of one that is not there", async () => {
    const nothing = { items: [], oldest: 1, newest: 0 };
    expect(await read({ tenant: newId('tenant') })).toEqual(nothing);
    expect(await read({ tenant: undefined })).toEqual(nothing);
    expect(await read({ endpoint: newId('endpoint') })).toEqual(nothing);
  });

  it('goes on counting when all items have been deleted', async () => {
    const day = 86_400_000;
    expect(await deleteExpiredItems(pool, at - day)).toBe(0);
    expect(await deleteExpiredItems(pool, at + day)).toBe(6);
    expect(await read({})).toMatchObject({ items: [], oldest: 7, newest: 6 });
    await projection.apply([
      batchOf(
        0,
        6,
        traffic([feed], 1, () => 1),
      ),
    ]);
    expect(await read({})).toMatchObject({ items: [7], oldest: 7, newest: 7 });
  });
});
