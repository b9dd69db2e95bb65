import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type AcceptedMessage,
  deliveryId,
  type DeliveryAttempted,
  type DeliveryEvent,
  type DeliveryRequested,
  messagePosition,
  newId,
  type StartReplayRequest,
  topics,
} from '@posthaste/contracts';
import { matches } from '@posthaste/delivery';
import { type OutgoingRecord } from '@posthaste/event-log';
import { seededRandom } from '@posthaste/test-kit';
import type pg from 'pg';
import { attempted, cancelled, sampleMessage } from '../history/sample-facts.js';
import { type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import { stepReplay } from './replay-loop.js';
import { countRequestable } from './sql/select-requestable.js';
import { getReplay, insertReplay, scopeOf } from './sql/steer-replays.js';

let bed: HistoryBed;
let pool: pg.Pool;
/** How far each topic has been projected. */
let offsets = { messages: 0, deliveries: 0 };
let requests: DeliveryRequested[] = [];
let known = Infinity;

beforeAll(async () => {
  bed = await startHistoryBed();
  ({ pool } = bed);
}, 60_000);
afterAll(() => bed.stop());
beforeEach(reset);

async function reset(): Promise<void> {
  [offsets, requests, known] = [{ messages: 0, deliveries: 0 }, [], Infinity];
  await pool.query(
    `truncate history.position, history.message, history.delivery, history.attempt, history.requested_attempt,
     replays.replay`,
  );
  await bed.projection.loadPositions(
    ['messages', 'deliveries'].map((topic) => ({ topic, partition: PARTITION })),
  );
}

const PARTITION = 2;
const at = 1_790_000_000_000;
const END = at + 1_000_000;
const tenant = newId('tenant', at);
const account = newId('account', at);
const [one, two, late] = [newId('endpoint', at), newId('endpoint', at), newId('endpoint', at)] as const;

async function apply(topic: 'messages' | 'deliveries', encoded: { value: Buffer }[]): Promise<void> {
  const from = offsets[topic];
  const records = encoded.map((record, i) => ({ ...record, offset: from + i, appendedAt: 0 }));
  offsets[topic] += records.length;
  await bed.projection.apply([
    { topic, partition: PARTITION, from, records: records as never, next: offsets[topic] },
  ]);
}
const accept = (...messages: AcceptedMessage[]) =>
  apply(
    'messages',
    messages.map((message) => topics.messages.encode(message)),
  );
const tell = (...events: DeliveryEvent[]) =>
  apply(
    'deliveries',
    events.map((event) => topics.deliveries.encode(event)),
  );

const producer = {
  append: async (records: OutgoingRecord[]): Promise<[]> => {
    for (const record of records) requests.push(topics.deliveries.decode(record) as DeliveryRequested);
    return [];
  },
};
const step = (): Promise<boolean> => stepReplay({ pool, producer, horizon: () => Promise.resolve(known) });

const asking = (
  own: Partial<StartReplayRequest>,
  filter: object = {},
  names: object = {},
): StartReplayRequest => ({
  ...{ id: newId('replay'), tenant, account, kind: 'resend', since: 0, until: END },
  filter: { statuses: [], event_types: [], channels: [], ...filter },
  names: { deliveries: [], messages: [], endpoints: [], ...names },
  ...{ rate_per_second: 1_000, by: 'key_1', ...own },
});

/** Runs it to its end; answers what it asked for. */
async function run(request: StartReplayRequest): Promise<DeliveryRequested[]> {
  const total = await countRequestable(pool, scopeOf(request));
  await insertReplay(pool, request, total, at);
  const before = requests.length;
  while (await step()) await pool.query('update replays.replay set next_at = now()');
  const asked = requests.slice(before);
  expect(await getReplay(pool, tenant, request.id)).toMatchObject({
    ...{ status: 'completed', total, requested: total, kind: request.kind },
  });
  expect(asked).toHaveLength(total);
  await tell(...asked);
  return asked;
}

const pick = <T>(random: ReturnType<typeof seededRandom>, from: readonly T[]): T =>
  from[random.below(from.length)] as T;

const KINDS = [{ kind: 'delivered' }, { kind: 'exhausted' }, { kind: 'retry', at }] as const;
const CODES = [500, 503];

/** Some deliveries to two endpoints, of all states, and how they ended. */
async function traffic(random: ReturnType<typeof seededRandom>, count: number): Promise<DeliveryEvent[]> {
  const messages: AcceptedMessage[] = [];
  const events = Array.from({ length: count }, (_, i): DeliveryEvent => {
    const endpoint = pick(random, [one, two]);
    const type = pick(random, ['a.b', 'c.d']);
    const message = sampleMessage({ tenant, account, endpoint, at: at + Math.floor(i / 3) }, { type });
    messages.push(message);
    if (random.below(5) === 0) return cancelled(message, 1);
    const event = attempted(message, 1, pick(random, KINDS));
    const status = pick(random, CODES);
    return event.decision.kind === 'delivered'
      ? event
      : { ...event, response: { ...(event.response as object), status } as DeliveryAttempted['response'] };
  });
  await accept(...messages);
  await tell(...events);
  return events;
}

const statusOf = (event: DeliveryEvent): string => {
  if (event.type !== 'DeliveryAttempted') return 'cancelled';
  const { kind } = event.decision;
  return kind === 'retry' ? 'retrying' : kind;
};
const codeOf = (event: DeliveryEvent): number | undefined =>
  event.type === 'DeliveryAttempted' ? event.response?.status : undefined;

describe('a replay of what was chosen', () => {
  it('asks for exactly the deliveries that match, each at its own endpoint, whatever is combined', async () => {
    const random = seededRandom();
    try {
      const events = await traffic(random, 150);
      const settled = ['delivered', 'exhausted', 'cancelled'];
      for (let n = 0; n < 12; n++) {
        const some = <T>(value: T): T | undefined => (random.below(2) === 0 ? value : undefined);
        const endpoint = some(pick(random, [one, two]));
        const statuses = settled.filter(() => random.below(2) === 0);
        const type = some('a.b');
        const code = some(pick(random, CODES));
        const errorClass = some('http_status');
        const named = some(events.filter(() => random.below(2) === 0));
        const byMessage = random.below(2) === 0;
        const request = asking(
          { endpoint, since: at + random.below(20), until: at + 30 + random.below(30) },
          { statuses, event_types: type ? [type] : [], error_class: errorClass, status_code: code },
          {
            endpoints: endpoint === undefined ? [one] : [],
            deliveries: named && !byMessage ? named.map(({ delivery }) => delivery) : [],
            messages: named && byMessage ? named.map(({ message }) => message) : [],
          },
        );
        const isWanted = (event: DeliveryEvent): boolean =>
          event.endpoint === (endpoint ?? one) &&
          event.acceptedAt >= request.since &&
          event.acceptedAt < request.until &&
          (statuses.length === 0 ? ['exhausted', 'cancelled'] : statuses).includes(statusOf(event)) &&
          (type === undefined || event.eventType === type) &&
          (code === undefined || codeOf(event) === code) &&
          (errorClass === undefined || ['exhausted', 'retrying'].includes(statusOf(event))) &&
          (named === undefined || named.includes(event));
        const wanted = events.filter(isWanted);
        const asked = await run(request);
        expect(asked.map(({ delivery }) => delivery).sort()).toEqual(
          wanted.map(({ delivery }) => delivery).sort(),
        );
        // What was delivered is asked for in the one way that is not dropped for it.
        for (const { delivery, trigger, endpoint: to, replay } of asked) {
          const event = events.find((one) => one.delivery === delivery) as DeliveryEvent;
          expect([trigger, to, replay]).toEqual([
            statusOf(event) === 'delivered' ? 'resend' : 'recover',
            event.endpoint,
            request.id,
          ]);
        }
      }
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  });

  it('is nobody else’s business: of another tenant or account it finds nothing', async () => {
    const events = await traffic(seededRandom(), 10);
    const names = { deliveries: events.map(({ delivery }) => delivery), endpoints: [one, two] };
    const statuses = ['delivered', 'exhausted', 'cancelled'];
    const count = (own: object) => countRequestable(pool, scopeOf(asking(own, { statuses }, names)));
    expect(await count({})).toBeGreaterThan(0);
    expect(await count({ tenant: newId('tenant') })).toBe(0);
    expect(await count({ account: newId('account') })).toBe(0);
  });
});

describe('counting', () => {
  it('ends before whoever asked gives up: then no replay begins', async () => {
    const other = await pool.connect();
    try {
      await other.query('begin; lock table history.delivery in access exclusive mode');
      const counted = countRequestable(pool, scopeOf(asking({ endpoint: one })));
      await expect(counted).rejects.toMatchObject({ code: '57014' });
    } finally {
      await other.query('rollback');
      other.release();
    }
  }, 20_000);
});

describe('a backfill', () => {
  const CHANNELS = ['eu', 'us', 'a]"b\\', '(é.*|_'];

  /** Messages for others; some are routed to the late endpoint already. */
  async function published(
    random: ReturnType<typeof seededRandom>,
    count: number,
  ): Promise<AcceptedMessage[]> {
    const messages = Array.from({ length: count }, (_, i) => {
      const channels = CHANNELS.filter(() => random.below(2) === 0);
      const routes = [one, ...(random.below(4) === 0 ? [late] : [])].map((endpoint) => ({
        endpoint,
        version: 1,
      }));
      const type = pick(random, ['a.b', 'c.d']);
      return sampleMessage(
        { tenant, account, endpoint: one, at: at + Math.floor(i / 3) },
        // What PostgreSQL has no text for may be anywhere else.
        {
          type,
          routes,
          orderingKey: '\u0000 \ud800 "channels":["us"]',
          ...(channels.length > 0 ? { channels } : { channels: undefined }),
        },
      );
    });
    await accept(...messages);
    return messages;
  }
  const isRouted = ({ meta }: AcceptedMessage): boolean =>
    meta.routes.some(({ endpoint }) => endpoint === late);
  const toLate = (messages: AcceptedMessage[]): string[] =>
    messages.map(({ meta }) => deliveryId(meta.id, late)).sort();

  it('asks for the first attempt of what routing would send now and has never sent, and asks for it once', async () => {
    const random = seededRandom();
    try {
      for (const [eventTypes, channels] of [
        [[], []],
        [['a.b'], []],
        [[], ['eu', 'a]"b\\']],
        [[], ['(é.*|_']],
        [['c.d'], ['us']],
      ]) {
        await reset();
        const messages = await published(random, 60);
        const filter = { event_types: eventTypes, channels };
        const request = asking({ kind: 'backfill', endpoint: late, since: at + 3 }, filter);
        const wanted = messages.filter(
          (message) =>
            message.meta.at >= at + 3 &&
            !isRouted(message) &&
            matches(message.meta, { enabled: true, eventTypes: eventTypes ?? [], channels: channels ?? [] })
              .matched,
        );
        const asked = await run(request);
        expect(asked.map(({ delivery }) => delivery).sort()).toEqual(toLate(wanted));
        expect(wanted.length).toBeGreaterThan(0);
        expect(new Set(asked.map(({ attempt, trigger }) => `${attempt} ${trigger}`))).toEqual(
          new Set(['1 backfill']),
        );
        // Each stands where its message does, so that a receiver can prove what it got.
        const { rows } = await pool.query<{ id: string; position: string }>(
          'select id, position from history.delivery where endpoint = $1 order by id',
          [late],
        );
        const places = messages
          .map((message, offset) => ({ message, position: messagePosition(PARTITION, offset) }))
          .filter(({ message }) => isRouted(message) || wanted.includes(message))
          .map(({ message, position }) => ({ id: deliveryId(message.meta.id, late), position }));
        expect(rows).toEqual(places.sort((a, b) => (a.id < b.id ? -1 : 1)));
        expect(await run({ ...request, id: newId('replay') })).toEqual([]);
      }
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  });

  it('goes no further than history knows all messages, waits there, and takes what is late along', async () => {
    const [early, slow, last] = [at + 10, at + 20, at + 30].map((when) =>
      sampleMessage({ tenant, account, endpoint: one, at: when }),
    ) as [AcceptedMessage, AcceptedMessage, AcceptedMessage];
    await accept(early, last);
    known = at + 15;
    const request = asking({ kind: 'backfill', endpoint: late, until: at + 100 });
    await insertReplay(pool, request, 2, at);
    const isDue = () => pool.query('update replays.replay set next_at = now()');
    for (let n = 0; n < 3; n++) {
      await step();
      await isDue();
    }
    expect(requests.map(({ message }) => message)).toEqual([early.meta.id]);
    expect(await getReplay(pool, tenant, request.id)).toMatchObject({ status: 'running' });
    // Accepted before the last one, and projected after it.
    await accept(slow);
    known = at + 100;
    while (await step()) await isDue();
    expect(requests.map(({ message }) => message)).toEqual([early, slow, last].map(({ meta }) => meta.id));
    expect(await getReplay(pool, tenant, request.id)).toMatchObject({ status: 'completed', requested: 3 });
  });
});

describe('a copy', () => {
  it('asks for first attempts at the other endpoint, of what matches at the one, and not of what that one has', async () => {
    const events = await traffic(seededRandom(), 60);
    const lost = events.filter(
      (event) => event.endpoint === one && ['exhausted', 'cancelled'].includes(statusOf(event)),
    );
    const [had] = lost as [DeliveryEvent];
    await tell({ ...had, endpoint: late, delivery: deliveryId(had.message, late) });
    const request = asking({ kind: 'copy', endpoint: one, to_endpoint: late });
    const asked = await run(request);
    const wanted = lost.filter((event) => event !== had).map(({ message }) => deliveryId(message, late));
    expect(asked.map(({ delivery }) => delivery).sort()).toEqual(wanted.sort());
    expect(new Set(asked.map(({ endpoint, attempt }) => `${endpoint} ${attempt}`))).toEqual(
      new Set([`${late} 1`]),
    );
    expect(await run({ ...request, id: newId('replay') })).toEqual([]);
  });
});
