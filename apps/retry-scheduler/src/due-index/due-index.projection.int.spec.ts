import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, type DeliveryEvent, topics } from '@posthaste/contracts';
import type { ProjectionBatch } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { seededRandom } from '@posthaste/test-kit';
import type pg from 'pg';
import {
  attempted,
  cancelled,
  deferred,
  deliveryOf,
  endpointOf,
  requested,
  sampleMessage,
} from '../sample-facts.js';
import { dueIndexMigrations, dueIndexProjection } from './index.js';

const { logger } = createLogger('due-index-spec', 'silent');
let postgres: TemporaryPostgres;
let pool: pg.Pool;
const told = {
  owed: [] as number[],
  events: [] as string[],
  parked: [] as string[],
  unreadable: [] as number[],
};
const hooks = {
  onOwed: (at: number) => void told.owed.push(at),
  onEvent: ({ type }: DeliveryEvent) => void told.events.push(type),
  onParked: (endpoints: Set<string>) => void told.parked.push(...endpoints),
  onUnreadable: ({ offset }: { offset: number }) => void told.unreadable.push(offset),
};
let projection: ReturnType<typeof dueIndexProjection>;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('due-index');
  await migrate(postgres.url, 'schedule', dueIndexMigrations);
  pool = createPool({ url: postgres.url, name: 'spec', max: 6, logger });
  projection = dueIndexProjection(pool, hooks);
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.remove();
});
beforeEach(reset);

async function reset(): Promise<void> {
  for (const seen of Object.values(told)) seen.length = 0;
  await pool.query('truncate schedule.position, schedule.due');
  await projection.loadPositions([{ topic: 'deliveries', partition: 0 }]);
}

const batch = (from: number, events: DeliveryEvent[]): ProjectionBatch => ({
  topic: 'deliveries',
  partition: 0,
  from,
  records: events.map((event, i) => ({
    ...topics.deliveries.encode(event),
    offset: from + i,
    appendedAt: 0,
  })),
  next: from + events.length,
});

/** Every column of every row, and the position. */
async function state(): Promise<{ due: Record<string, unknown>[]; next: number }> {
  const { rows } = await pool.query<Record<string, unknown>>('select * from schedule.due order by delivery');
  const [position] = await projection.loadPositions([{ topic: 'deliveries', partition: 0 }]);
  return { due: rows, next: position?.offset ?? -1 };
}

const at = 1_790_000_000_000;
const [first, second, third, fourth, fifth] = Array.from({ length: 5 }, () => sampleMessage()) as [
  AcceptedMessage,
  AcceptedMessage,
  AcceptedMessage,
  AcceptedMessage,
  AcceptedMessage,
];
/** What a log may hold: first attempts, retries, deferrals told twice, reports that come late. */
const story: DeliveryEvent[] = [
  attempted(first, 1, { kind: 'delivered' }),
  attempted(second, 1, { kind: 'retry', at: at + 5_000 }),
  deferred(third, 1, at + 6_000),
  deferred(third, 1, at + 6_000),
  attempted(fourth, 1, { kind: 'retry', at: at + 1_000 }),
  attempted(fourth, 2, { kind: 'retry', at: at + 60_000 }),
  attempted(fourth, 1, { kind: 'retry', at: at + 2_000 }),
  attempted(fifth, 1, { kind: 'retry', at: at + 1_000 }),
  cancelled(fifth, 2),
  attempted(third, 1, { kind: 'retry', at: at + 9_000 }),
  deferred(second, 2, at + 8_000),
];

/** The columns of what waits for no other delivery. */
const unordered = { partition: null, ordering_key: null, position: null, key_state: null, held: false };

describe('the due index', () => {
  it('holds what is owed, in every column, and nothing of what is settled', async () => {
    expect(await projection.apply([batch(0, story)])).toBe('applied');
    const common = (message: AcceptedMessage) => ({
      delivery: deliveryOf(message),
      message: message.meta.id,
      tenant: message.meta.tenant,
      account: message.meta.account,
      endpoint: message.meta.routes.at(-1)?.endpoint,
      ...unordered,
    });
    const expected = [
      {
        ...common(second),
        attempt: 2,
        due_at: at + 8_000,
        trigger: 'retry',
        reason: 'lane_full',
        parked: true,
      },
      { ...common(third), attempt: 2, due_at: at + 9_000, trigger: 'retry', reason: null, parked: false },
      { ...common(fourth), attempt: 3, due_at: at + 60_000, trigger: 'retry', reason: null, parked: false },
    ].sort((a, b) => (a.delivery < b.delivery ? -1 : 1));
    expect(await state()).toEqual({ due: expected, next: story.length });
    expect(told.owed).toEqual([at + 9_000]);
    expect(told.parked).toEqual([endpointOf(second)]);
    expect(told.events).toEqual(story.map((event) => event.type));
  });

  it('holds what was asked for of a settled delivery, at once, until it is made', async () => {
    const delivered = attempted(first, 1, { kind: 'delivered' });
    const request = requested(first, 2);
    const events = [delivered, request, request, delivered];
    await projection.apply([batch(0, events)]);
    expect((await state()).due).toMatchObject([
      { delivery: deliveryOf(first), attempt: 2, due_at: request.at, trigger: 'resend', parked: false },
    ]);
    expect(told.owed).toEqual([request.at]);
    await projection.apply([batch(events.length, [attempted(first, 2, { kind: 'exhausted' })])]);
    expect((await state()).due).toEqual([]);
  });

  it('still holds the same rows for the recorded log of the first release', async () => {
    const golden = JSON.parse(
      readFileSync(path.join(import.meta.dirname, 'golden/first-release.json'), 'utf8'),
    ) as { records: string[]; rows: object[] };
    const records = golden.records.map((value, offset) => ({
      key: '',
      value: Buffer.from(value),
      offset,
      appendedAt: 0,
    }));
    expect(await projection.apply([{ ...batch(0, []), records, next: records.length }])).toBe('applied');
    expect((await state()).due).toEqual(golden.rows.map((row) => ({ ...unordered, ...row })));
  });

  it('holds the same rows whatever the batches, and whatever is read again after a crash', async () => {
    await projection.apply([batch(0, story)]);
    const expected = await state();
    const random = seededRandom();
    try {
      for (let round = 0; round < 15; round++) {
        await reset();
        for (let from = 0; from < story.length;) {
          const size = 1 + random.below(4);
          const next = batch(from, story.slice(from, from + size));
          if (random.below(3) === 0) {
            await expect(dueIndexProjection(brokenAtCommit(pool), hooks).apply([next])).rejects.toThrow();
          }
          expect(await projection.apply([next])).toBe('applied');
          from = next.next;
        }
        expect(await state()).toEqual(expected);
      }
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  });

  it('moves its position, with no transaction, for deliveries that are owed nothing', async () => {
    const settled = [first, second].map((message) => attempted(message, 1, { kind: 'delivered' }));
    const connect = (): never => {
      throw new Error('a transaction was begun');
    };
    const withoutTransactions = new Proxy(pool, {
      get: (target, name) => (name === 'connect' ? connect : bound(target, name)),
    });
    expect(await dueIndexProjection(withoutTransactions, hooks).apply([batch(0, settled)])).toBe('applied');
    expect(await state()).toEqual({ due: [], next: 2 });
    expect(told.owed).toEqual([]);
  });

  it.each([
    ['rows change', story],
    ['no row changes', [attempted(first, 1, { kind: 'delivered' })]],
  ])('lets one of two instances win a batch in which %s', async (_, events) => {
    const other = dueIndexProjection(pool, hooks);
    const results = await Promise.all([
      projection.apply([batch(0, events)]),
      other.apply([batch(0, events)]),
    ]);
    expect(results.sort()).toEqual(['applied', 'conflict']);
    expect((await state()).next).toBe(events.length);
  });

  it.each([
    ['rows change', story],
    ['no row changes', [attempted(first, 1, { kind: 'delivered' })]],
  ])('works a batch in which %s out again when another index was put in its place', async (_, events) => {
    await pool.query(`begin; alter table schedule.position rename to position_old;
      create table schedule.position (like schedule.position_old including all);
      insert into schedule.position select * from schedule.position_old; drop table schedule.position_old; commit`);
    expect(await projection.apply([batch(0, events)])).toBe('conflict');
    expect(await state()).toEqual({ due: [], next: 0 });
    expect(await projection.apply([batch(0, events)])).toBe('applied');
    expect((await state()).next).toBe(events.length);
  });

  it('passes over what cannot be read or stored, says so, and applies the rest', async () => {
    const good = batch(0, story);
    const unreadable = { key: 'x', value: Buffer.from('{"type":"Nonsense"}') };
    const retry = attempted(first, 1, { kind: 'retry', at });
    const unstorable = topics.deliveries.encode({ ...retry, delivery: 'dlv_\0', tenant: 'a\0b' });
    const values = [unreadable, ...good.records, unstorable];
    const records = values.map((record, offset) => ({ ...record, offset, appendedAt: 0 }));
    expect(await projection.apply([{ ...good, records, next: records.length }])).toBe('applied');
    const { due, next } = await state();
    expect(due).toHaveLength(3);
    expect(next).toBe(records.length);
    expect([...new Set(told.unreadable)]).toEqual([0, records.length - 1]);
  });
});

/** A pool whose transactions fail when they are about to commit, and whose positions never move alone. */
function brokenAtCommit(whole: pg.Pool): pg.Pool {
  const failing = <T extends pg.Pool | pg.PoolClient>(target: T, fatal: (sql: string) => boolean): T => {
    const query = async (...args: unknown[]): Promise<unknown> => {
      const [text] = args;
      if (fatal(typeof text === 'string' ? text : (text as { text: string }).text)) throw new Error('gone');
      return Reflect.apply(target.query.bind(target), target, args) as Promise<unknown>;
    };
    const connect = async () => failing(await whole.connect(), (sql) => sql === 'commit');
    return new Proxy(target, {
      get: (inner, name) => {
        if (name === 'query') return query;
        return name === 'connect' ? connect : bound(inner, name);
      },
    });
  };
  return failing(whole, (sql) => sql.startsWith('update schedule.position'));
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
