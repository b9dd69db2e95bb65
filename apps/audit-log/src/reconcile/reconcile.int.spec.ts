import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type AcceptedMessage,
  deliveryId,
  type DeliveryEvent,
  messagePosition,
  type MeantRange,
  newId,
  topics,
} from '@posthaste/contracts';
import type { ProjectionBatch } from '@posthaste/event-log';
import { seededRandom, waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { attempted, sampleMessage } from '../history/sample-facts.js';
import { getDueDeliveries } from '../history/sql/select-deliveries.js';
import { compareReceived } from './compare-received.js';
import { type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import { listMeant } from './sql/select-meant.js';

let bed: HistoryBed;
let pool: pg.Pool;
let projection: HistoryBed['projection'];

beforeAll(async () => {
  bed = await startHistoryBed();
  ({ pool, projection } = bed);
}, 60_000);
afterAll(() => bed.stop());
beforeEach(reset);

async function reset(): Promise<void> {
  await pool.query('truncate history.position, history.message, history.delivery, history.attempt');
  await projection.loadPositions(
    ['messages', 'deliveries'].map((topic) => ({ topic, partition: PARTITION })),
  );
}

const PARTITION = 3;
const at = 1_790_000_000_000;
const tenant = newId('tenant', at);
const account = newId('account', at);
const endpoint = newId('endpoint', at);
const other = newId('endpoint', at);
const range: MeantRange = { tenant, account, endpoint };

const place = (offset: number): string => messagePosition(PARTITION, offset);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Every third is for the other endpoint alone. */
function traffic(count: number, from = 0): AcceptedMessage[] {
  return Array.from({ length: count }, (_, i) =>
    sampleMessage(
      { tenant, account, endpoint, at: at + 1_000 * (from + i) },
      {
        routes: [endpoint, other]
          .slice((from + i) % 3 === 2 ? 1 : 0)
          .map((id) => ({ endpoint: id, version: 1 })),
      },
    ),
  ).map((message, i) => ({ ...message, payload: Buffer.from(`{"n":${from + i}}`) }));
}

function batchOf<T>(
  topic: { name: string; encode: (item: T) => { key: string; value: Buffer; meta?: string } },
  from: number,
  items: T[],
): ProjectionBatch {
  const records = items.map((item, i) => ({ ...topic.encode(item), offset: from + i, appendedAt: 0 }));
  return { topic: topic.name, partition: PARTITION, from, records, next: from + records.length };
}
const messageBatch = (from: number, items: AcceptedMessage[]) => batchOf(topics.messages, from, items);
const eventBatch = (from: number, items: DeliveryEvent[]) => batchOf(topics.deliveries, from, items);

async function positions(): Promise<Record<string, string | null>> {
  const { rows } = await pool.query<{ id: string; position: string | null }>(
    'select id, position from history.delivery union all select id, position from history.message',
  );
  return Object.fromEntries(rows.map(({ id, position }) => [id, position]));
}

const isMeant = ({ meta }: AcceptedMessage): boolean =>
  meta.routes.some((route) => route.endpoint === endpoint);
const idsOf = (messages: AcceptedMessage[]): string[] => messages.map(({ meta }) => meta.id);
const list = async (more: Partial<MeantRange> = {}, limit = 200, after?: string) =>
  listMeant(pool, { range: { ...range, ...more }, after, limit });
const listed = async (more: Partial<MeantRange> = {}): Promise<string[]> =>
  (await list(more)).data.map(({ message }) => message);

// First of all: counts are told late, and those of others would do for it.
describe('a position', () => {
  it('stands in no way of settling a delivery on its page', async () => {
    const hot = async (): Promise<number> => {
      const { rows } = await pool.query<{ hot: number }>(
        `select n_tup_hot_upd as hot from pg_stat_user_tables where schemaname = 'history' and relname = 'delivery'`,
      );
      return Number(rows[0]?.hot);
    };
    const [before, messages] = [await hot(), traffic(30).filter(isMeant)];
    await projection.apply([messageBatch(0, messages)]);
    await projection.apply([
      eventBatch(
        0,
        messages.map((one) => attempted(one, 1, { kind: 'delivered' })),
      ),
    ]);
    await waitFor(async () => (await hot()) >= before + messages.length, { what: 'updates on their pages' });
  }, 30_000);
});

describe('positions', () => {
  it('are those of the first record, whichever topic is read first, in whatever batches, and whatever comes twice', async () => {
    const random = seededRandom();
    const below = (limit: number): number => random.below(limit);
    try {
      for (let round = 0; round < 10; round++) {
        await reset();
        const messages = traffic(9);
        const repeated = messages.flatMap((one, i) =>
          below(3) === 0 ? [one, ...messages.slice(below(i + 1), i + 1)] : [one],
        );
        const events = messages
          .filter(isMeant)
          .flatMap((one) => [
            attempted(one, 1, { kind: 'retry', at }),
            attempted(one, 2, { kind: 'delivered' }),
          ]);
        const queues = [
          {
            next: 0,
            left: repeated.length,
            make: (from: number, n: number) => messageBatch(from, repeated.slice(from, from + n)),
          },
          {
            next: 0,
            left: events.length,
            make: (from: number, n: number) => eventBatch(from, events.slice(from, from + n)),
          },
        ];
        for (let open = queues; open.length > 0; open = queues.filter(({ left }) => left > 0)) {
          const together = below(2) === 0 ? open : [open[below(open.length)] ?? open[0]];
          const batches = together.flatMap((queue) => {
            if (!queue) return [];
            const count = Math.min(queue.left, 1 + below(4));
            const batch = queue.make(queue.next, count);
            queue.next += count;
            queue.left -= count;
            return [batch];
          });
          expect(await projection.apply(batches)).toBe('applied');
        }
        const expected = messages.flatMap(({ meta }) => {
          const first = place(idsOf(repeated).indexOf(meta.id));
          return [meta.id, ...meta.routes.map((route) => deliveryId(meta.id, route.endpoint))].map((id) => [
            id,
            first,
          ]);
        });
        expect(await positions()).toEqual(Object.fromEntries(expected));
        const { rows } = await pool.query<{ status: string; count: number }>(
          'select status, count(*)::int as count from history.delivery where endpoint = $1 group by 1',
          [endpoint],
        );
        expect(rows).toEqual([{ status: 'delivered', count: 6 }]);
      }
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  }, 30_000);

  it('of a message with more routes than a record holds are those of the record that names the endpoint', async () => {
    const [before, first] = traffic(2) as [AcceptedMessage, AcceptedMessage];
    const rest = { ...first, meta: { ...first.meta, routes: [{ endpoint: 'ep_501', version: 1 }] } };
    await projection.apply([messageBatch(0, [before, first, rest])]);
    const found = await positions();
    expect(found[first.meta.id]).toBe(place(1));
    expect(found[deliveryId(first.meta.id, endpoint)]).toBe(place(1));
    expect(found[deliveryId(first.meta.id, 'ep_501')]).toBe(place(2));
  });

  it('go with a delivery to the scheduler, also to an endpoint the message was not routed to', async () => {
    const [before, message] = traffic(2) as [AcceptedMessage, AcceptedMessage];
    await projection.apply([messageBatch(0, [before, message])]);
    const backfilled = {
      ...message,
      meta: { ...message.meta, routes: [{ endpoint: 'ep_new', version: 1 }] },
    };
    await projection.apply([
      eventBatch(0, [{ ...attempted(backfilled, 1, { kind: 'retry', at }), trigger: 'backfill' }]),
    ]);
    const ids = [endpoint, 'ep_new'].map((id) => deliveryId(message.meta.id, id));
    const due = await getDueDeliveries(pool, ids);
    expect(due.map(({ position }) => position)).toEqual([place(1), place(1)]);
    expect(await listed({ endpoint: 'ep_new' })).toEqual([message.meta.id]);
  });
});

describe('what was meant for an endpoint', () => {
  it('is told with what became of it and the hash of its payload', async () => {
    const messages = traffic(4);
    const [first, second] = messages as [AcceptedMessage, AcceptedMessage];
    await projection.apply([messageBatch(0, messages)]);
    await projection.apply([eventBatch(0, [attempted(first, 1, { kind: 'delivered' })])]);
    await pool.query('delete from history.message where id = $1', [second.meta.id]);
    const { data, has_more } = await list();
    expect(has_more).toBe(false);
    expect(data.map(({ message }) => message)).toEqual(idsOf(messages.filter(isMeant)));
    expect(data.slice(0, 2)).toEqual([
      {
        position: place(0),
        delivery: deliveryId(first.meta.id, endpoint),
        message: first.meta.id,
        event_type: 'invoice.paid',
        accepted_at: at,
        status: 'delivered',
        attempts: 1,
        payload_sha256: sha256(first.payload),
      },
      expect.objectContaining({ position: place(1), status: 'pending', attempts: 0, payload_sha256: null }),
    ]);
  });

  it('is of a range of positions, or of times even where clocks disagree with the order', async () => {
    const messages = traffic(12);
    // A replica whose clock is half a minute behind, and one that is ahead.
    for (const [i, strays] of [
      [4, -30_000],
      [7, 30_000],
    ] as const)
      (messages[i] as AcceptedMessage).meta.at += strays;
    await projection.apply([messageBatch(0, messages)]);
    const meant = (within: (message: AcceptedMessage, offset: number) => boolean): string[] =>
      idsOf(messages.filter((message, offset) => isMeant(message) && within(message, offset)));
    expect(await listed({ from: place(3), to: place(9) })).toEqual(
      meant((_, offset) => offset >= 3 && offset < 9),
    );
    const [since, until] = [at + 3_000, at + 9_000];
    expect(await listed({ since, until })).toEqual(meant(({ meta }) => meta.at >= since && meta.at < until));
    expect(await listed({ since })).toEqual(meant(({ meta }) => meta.at >= since));
    expect(await listed({ until })).toEqual(meant(({ meta }) => meta.at < until));
    expect(await listed({ from: place(6), until })).toEqual(
      meant(({ meta }, offset) => offset >= 6 && meta.at < until),
    );
    expect(await listed({ since: at + 3_600_000 })).toEqual([]);
    expect(await listed({ tenant: newId('tenant') })).toEqual([]);
  });

  it('is the same page by page while messages go on arriving, oldest first', async () => {
    const messages = traffic(60);
    await projection.apply([messageBatch(0, messages.slice(0, 20))]);
    const seen: string[] = [];
    let after: string | undefined;
    let more = true;
    for (let taken = 20; more; taken += 4) {
      const page = await list({}, 3, after);
      seen.push(...page.data.map(({ message }) => message));
      after = page.data.at(-1)?.position;
      more = page.has_more ?? false;
      if (taken < messages.length) {
        const [arriving] = [messages.slice(taken, taken + 4)];
        await projection.apply([
          messageBatch(taken, arriving),
          eventBatch(
            taken - 20,
            arriving.map((one) => attempted(one, 1, { kind: 'delivered' })),
          ),
        ]);
      }
    }
    expect(seen).toEqual(idsOf(messages.filter(isMeant)));
  });
});

describe('what a receiver has', () => {
  it('is compared with what was meant for it: what it lacks, and what was never for it', async () => {
    const messages = traffic(12);
    await projection.apply([messageBatch(0, messages)]);
    const meant = idsOf(messages.filter(isMeant));
    const foreign = messages.find((message) => !isMeant(message))?.meta.id ?? '';
    const strangers = [foreign, newId('message'), 'msg_\0', 'x'];
    const lost = [meant[1], meant[5]];
    const has = [...meant.filter((id) => !lost.includes(id)), ...strangers];
    const compare = (ids: string[], more: Partial<MeantRange> = {}) =>
      compareReceived(pool, { range: { ...range, ...more }, ids });
    expect(await compare(has)).toEqual({ missing: lost, unknown: strangers, next_from: undefined });
    expect(await compare([])).toMatchObject({ missing: meant, unknown: [] });
    expect(await compare(meant)).toMatchObject({ missing: [], unknown: [] });
    // What lies outside the range is neither missing nor a stranger.
    expect(await compare(has, { from: place(4) })).toMatchObject({ missing: [lost[1]], unknown: strangers });
    expect(await compare(meant, { tenant: newId('tenant') })).toMatchObject({ missing: [], unknown: meant });
  });
});
