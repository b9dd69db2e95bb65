import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, type DeliveryEvent, topics } from '@posthaste/contracts';
import type { ProjectionBatch } from '@posthaste/event-log';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { seededRandom } from '@posthaste/test-kit';
import type pg from 'pg';
import { attempted, cancelled, deferred, deliveryOf, sampleMessage } from '../sample-facts.js';
import { DueIndex1790000000000 } from './due-index-migration.js';
import { dueIndexProjection } from './due-index.projection.js';

const { logger } = createLogger('due-index-spec', 'silent');
const dataRoot = mkdtempSync(path.join(os.tmpdir(), 'posthaste-due-index-'));
let postgres: EmbeddedPostgres;
let pool: pg.Pool;
const told = { owed: [] as number[], completed: [] as string[], unreadable: [] as number[] };
const hooks = {
  onOwed: (at: number) => void told.owed.push(at),
  onCompleted: (endpoint: string) => void told.completed.push(endpoint),
  onUnreadable: ({ offset }: { offset: number }) => void told.unreadable.push(offset),
};
let projection: ReturnType<typeof dueIndexProjection>;

beforeAll(async () => {
  // The server may run as another user than the tests.
  chmodSync(dataRoot, 0o755);
  postgres = await startEmbeddedPostgres({ dataDir: path.join(dataRoot, 'data') });
  await migrate(postgres.url, 'schedule', [DueIndex1790000000000]);
  pool = createPool({ url: postgres.url, name: 'spec', max: 6, logger });
  projection = dueIndexProjection(pool, hooks);
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.stop();
  rmSync(dataRoot, { recursive: true, force: true });
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

describe('the due index', () => {
  it('holds what is owed, in every column, and nothing of what is settled', async () => {
    expect(await projection.apply([batch(0, story)])).toBe('applied');
    const common = (message: AcceptedMessage) => ({
      delivery: deliveryOf(message),
      message: message.meta.id,
      tenant: message.meta.tenant,
      account: message.meta.account,
      endpoint: message.meta.routes.at(-1)?.endpoint,
    });
    const expected = [
      { ...common(second), attempt: 2, due_at: at + 8_000, trigger: 'retry', reason: 'lane_full' },
      { ...common(third), attempt: 2, due_at: at + 9_000, trigger: 'retry', reason: null },
      { ...common(fourth), attempt: 3, due_at: at + 60_000, trigger: 'retry', reason: null },
    ].sort((a, b) => (a.delivery < b.delivery ? -1 : 1));
    expect(await state()).toEqual({ due: expected, next: story.length });
    expect(told.owed).toEqual([at + 8_000]);
    expect(told.completed).toHaveLength(8);
  });

  it('still holds the same rows for the recorded log of the first release', async () => {
    const golden = JSON.parse(
      readFileSync(path.join(import.meta.dirname, 'golden/first-release.json'), 'utf8'),
    ) as { records: string[]; rows: unknown[] };
    const records = golden.records.map((value, offset) => ({
      key: '',
      value: Buffer.from(value),
      offset,
      appendedAt: 0,
    }));
    expect(await projection.apply([{ ...batch(0, []), records, next: records.length }])).toBe('applied');
    expect((await state()).due).toEqual(golden.rows);
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
