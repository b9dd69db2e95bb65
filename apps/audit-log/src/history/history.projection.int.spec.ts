import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, type DeliveryEvent, newId, topics } from '@posthaste/contracts';
import type { ProjectionBatch, StoredRecord } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { seededRandom } from '@posthaste/test-kit';
import type pg from 'pg';
import { historyProjection } from './history.projection.js';
import { attempted, cancelled, deferred, requested, sampleMessage, shadowOf } from './sample-facts.js';
import type { Quarantined } from './sql/insert-quarantined.js';
import { historyMigrations } from '../migrations.js';

const { logger } = createLogger('history-spec', 'silent');
const TABLES = [
  'message',
  'delivery',
  'attempt',
  'shadow_attempt',
  'requested_attempt',
  'endpoint_minute',
  'quarantine',
];
let postgres: TemporaryPostgres;
let pool: pg.Pool;
let projection: ReturnType<typeof historyProjection>;
const quarantined: Quarantined[] = [];

beforeAll(async () => {
  postgres = await startTemporaryPostgres('history');
  await migrate(postgres.url, 'history', historyMigrations);
  pool = createPool({
    url: postgres.url,
    name: 'spec',
    max: 6,
    logger,
    settings: { synchronous_commit: 'off' },
  });
  projection = historyProjection(pool, (found) => quarantined.push(found));
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.remove();
});
beforeEach(async () => {
  quarantined.length = 0;
  await reset();
});

async function reset(): Promise<void> {
  await pool.query(`truncate history.position, ${TABLES.map((table) => `history.${table}`).join(', ')}`);
  await projection.loadPositions(['messages', 'deliveries'].map((topic) => ({ topic, partition: 0 })));
}

/** Without positions: whatever comes twice moves those behind it. They have a spec of their own. */
async function rows(): Promise<Record<string, string[]>> {
  const dump: Record<string, string[]> = {};
  for (const table of TABLES) {
    const found = await pool.query<{ row: string }>(
      `select (to_jsonb(t) - 'position')::text as row from history.${table} t order by 1`,
    );
    dump[table] = found.rows.map(({ row }) => row);
  }
  return dump;
}

function batchOf(
  topic: string,
  from: number,
  records: Pick<StoredRecord, 'key' | 'value' | 'meta'>[],
): ProjectionBatch {
  const stored = records.map((record, i) => ({ ...record, offset: from + i, appendedAt: 0 }));
  return { topic, partition: 0, from, records: stored, next: from + records.length };
}
const messageBatch = (from: number, messages: AcceptedMessage[]): ProjectionBatch =>
  batchOf(
    'messages',
    from,
    messages.map((message) => topics.messages.encode(message)),
  );
const eventBatch = (from: number, events: DeliveryEvent[]): ProjectionBatch =>
  batchOf(
    'deliveries',
    from,
    events.map((event) => topics.deliveries.encode(event)),
  );

const at = 1_790_000_000_000;
const sample = {
  tenant: newId('tenant', at),
  account: newId('account', at),
  endpoint: newId('endpoint', at),
  at,
};

type SeenDelivery = { id: string; status: string; attempts: number };
type SeenAttempt = { delivery: string; outcome: string };

/** Deliveries of every fate. */
function someTraffic(): { messages: AcceptedMessage[]; events: DeliveryEvent[] } {
  const messages = Array.from({ length: 8 }, (_, i) => sampleMessage({ ...sample, at: at + i }));
  const [first, second, third, fourth, fifth, sixth, seventh, eighth] = messages as [
    AcceptedMessage,
    AcceptedMessage,
    AcceptedMessage,
    AcceptedMessage,
    AcceptedMessage,
    AcceptedMessage,
    AcceptedMessage,
    AcceptedMessage,
  ];
  const firstAttempt = attempted(first, 1, { kind: 'delivered' });
  const events: DeliveryEvent[] = [
    firstAttempt,
    shadowOf(firstAttempt),
    attempted(second, 1, { kind: 'retry', at: at + 5_000 }),
    deferred(third, 1, at + 9_000),
    attempted(fourth, 1, { kind: 'retry', at: at + 5_000 }),
    attempted(fourth, 2, { kind: 'exhausted' }),
    cancelled(fifth, 1),
    deferred(sixth, 1, at + 9_000),
    attempted(sixth, 1, { kind: 'retry', at: at + 12_000 }),
    attempted(sixth, 2, { kind: 'delivered' }),
    // A copy that was told before its attempt, and one that was told twice.
    shadowOf(attempted(eighth, 1, { kind: 'delivered' })),
    shadowOf(firstAttempt),
    // From a process that lost its partition: an attempt made all the same, and a deferral told again.
    attempted(fifth, 1, { kind: 'retry', at: at + 7_000 }),
    deferred(sixth, 1, at + 9_000),
    deferred(third, 1, at + 9_000),
    // Made again after a crash: the second time it was a success, while its retry was on its way already.
    attempted(seventh, 1, { kind: 'retry', at: at + 5_000 }),
    attempted(seventh, 1, { kind: 'delivered' }),
    attempted(seventh, 2, { kind: 'delivered' }),
    // Asked for once more, twice, and in vain; the later request is the one that counts.
    { ...requested(fourth, 3, 'key_2'), at: at + 99_000 },
    requested(fourth, 3),
    { ...attempted(fourth, 3, { kind: 'exhausted' }), trigger: 'resend' },
    requested(first, 2),
  ];
  return { messages, events };
}

describe('the history projection', () => {
  it('gives the same rows whichever topic is read first, in whatever batches, and whatever comes twice', async () => {
    const { messages, events } = someTraffic();
    await projection.apply([messageBatch(0, messages)]);
    await projection.apply([eventBatch(0, events)]);
    const expected = await rows();
    expect(expected.message).toHaveLength(8);
    expect(expected.delivery).toHaveLength(8);
    expect(expected.attempt).toHaveLength(10);
    expect(expected.shadow_attempt).toHaveLength(2);
    const asked = (expected.requested_attempt ?? []).map(
      (row) => JSON.parse(row) as { requested_by: string },
    );
    expect(asked.map((row) => row.requested_by).sort()).toEqual(['key_1', 'key_2']);
    const deliveries = (expected.delivery ?? []).map((row) => JSON.parse(row) as SeenDelivery);
    expect(deliveries.map(({ status }) => status).sort()).toEqual([
      'cancelled',
      'deferred',
      'delivered',
      'delivered',
      'delivered',
      'exhausted',
      'pending',
      'retrying',
    ]);
    const attempts = (expected.attempt ?? []).map((row) => JSON.parse(row) as SeenAttempt);
    for (const { id, status, attempts: count } of deliveries) {
      const made = attempts.filter(({ delivery }) => delivery === id);
      expect(made).toHaveLength(count);
      expect(made.some(({ outcome }) => outcome === 'succeeded')).toBe(status === 'delivered');
    }

    await reset();
    await projection.apply([eventBatch(0, events)]);
    await projection.apply([messageBatch(0, messages)]);
    expect(await rows()).toEqual(expected);

    await reset();
    await projection.apply([eventBatch(0, events), messageBatch(0, messages)]);
    expect(await rows()).toEqual(expected);

    const random = seededRandom();
    try {
      for (let round = 0; round < 15; round++) {
        await reset();
        await applyShredded((limit) => random.below(limit), messages, events);
        expect(await rows()).toEqual(expected);
      }
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  }, 30_000);

  /** Small batches of both topics, interleaved; records repeat, as after a producer's retry. */
  async function applyShredded(
    below: (limit: number) => number,
    messages: AcceptedMessage[],
    events: DeliveryEvent[],
  ): Promise<void> {
    const repeated = <T>(items: T[]): T[] =>
      items.flatMap((item, i) => (below(3) === 0 ? [item, ...items.slice(below(i + 1), i + 1)] : [item]));
    const queues = [
      { make: messageBatch, items: repeated(messages), from: 0 },
      { make: eventBatch, items: repeated(events), from: 0 },
    ] as { make: (from: number, items: unknown[]) => ProjectionBatch; items: unknown[]; from: number }[];
    for (;;) {
      const open = queues.filter((queue) => queue.items.length > 0);
      const queue = open[below(open.length)];
      if (!queue) return;
      const batch = queue.make(queue.from, queue.items.splice(0, 1 + below(4)));
      queue.from = batch.next;
      expect(await projection.apply([batch])).toBe('applied');
    }
  }

  it('writes nothing when the process loses its database between the rows and the commit, and all the next time', async () => {
    const { messages, events } = someTraffic();
    const batches = [messageBatch(0, messages), eventBatch(0, events)];
    await expect(historyProjection(dyingAtCommit(pool), () => undefined).apply(batches)).rejects.toThrow();
    expect(await rows()).toEqual(Object.fromEntries(TABLES.map((table) => [table, []])));
    expect(await projection.apply(batches)).toBe('applied');
    expect((await rows()).attempt).toHaveLength(10);
  });

  it('lets one of two instances win a batch, and the other see the conflict', async () => {
    const { messages, events } = someTraffic();
    const other = historyProjection(pool, () => undefined);
    const batches = [messageBatch(0, messages), eventBatch(0, events)];
    const results = await Promise.all([projection.apply(batches), other.apply(batches)]);
    expect(results.sort()).toEqual(['applied', 'conflict']);
    expect((await rows()).attempt).toHaveLength(10);
    const positions = await projection.loadPositions([{ topic: 'deliveries', partition: 0 }]);
    expect(positions).toEqual([{ topic: 'deliveries', partition: 0, offset: events.length }]);
  });

  it('puts aside what cannot be read and what cannot be written, and applies the rest', async () => {
    const { messages, events } = someTraffic();
    const [first, second, ...others] = events.map((event) => topics.deliveries.encode(event));
    const unreadable = { key: 'x', value: Buffer.from('{"type":"Nonsense"}') };
    const unwritable = topics.deliveries.encode({
      ...(events[0] as DeliveryEvent),
      tenant: 'a\0b',
      delivery: 'dlv_bad',
    });
    const records = [first, unreadable, second, unwritable, ...others].filter(
      (record) => record !== undefined,
    );
    await projection.apply([messageBatch(0, messages)]);
    expect(await projection.apply([batchOf('deliveries', 0, records)])).toBe('applied');
    const found = await rows();
    expect(found.attempt).toHaveLength(10);
    const offsets = found.quarantine?.map(
      (row) => (JSON.parse(row) as { record_offset: number }).record_offset,
    );
    expect(offsets?.sort()).toEqual([1, 3]);
    expect(quarantined.map((entry) => entry.record.offset)).toEqual([1, 3]);
    const [position] = await projection.loadPositions([{ topic: 'deliveries', partition: 0 }]);
    expect(position?.offset).toBe(records.length);
  });

  it('keeps payloads and response bodies byte for byte', async () => {
    const message = sampleMessage(sample);
    message.payload = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) % 256));
    const empty = { ...sampleMessage({ ...sample, at: at + 1 }), payload: Buffer.alloc(0) };
    const event = attempted(message, 1, { kind: 'delivered' });
    const body = Buffer.from([0, 255, 92, 39, 10, 128]);
    if (event.response) event.response.body = body.toString('base64');
    const silent = { ...attempted(empty, 1, { kind: 'exhausted' }), response: undefined };
    await projection.apply([messageBatch(0, [message, empty]), eventBatch(0, [event, silent])]);
    const stored = await pool.query<{ payload: Buffer }>(
      'select payload from history.message order by accepted_at',
    );
    expect(stored.rows.map(({ payload }) => payload)).toEqual([message.payload, empty.payload]);
    const bodies = await pool.query<{ response_body: Buffer | null }>(
      'select response_body from history.attempt order by started_at',
    );
    expect(bodies.rows.map((row) => row.response_body)).toEqual([body, null]);
  });

  it('still folds the recorded history of the first release into the same rows', async () => {
    const golden = JSON.parse(
      readFileSync(path.join(import.meta.dirname, 'golden/first-release.json'), 'utf8'),
    ) as { records: { topic: string; meta?: string; value: string }[]; rows: Record<string, unknown[]> };
    const batches = ['messages', 'deliveries'].map((topic) =>
      batchOf(
        topic,
        0,
        golden.records
          .filter((record) => record.topic === topic)
          .map(({ meta, value }) => ({
            key: '',
            value: Buffer.from(value),
            ...(meta === undefined ? {} : { meta }),
          })),
      ),
    );
    expect(await projection.apply(batches)).toBe('applied');
    const dump = await rows();
    // Columns the first release did not have, as its records leave them.
    const deliveries = golden.rows['delivery'] as { id: string; account: string; endpoint: string }[];
    const rowOf = new Map(deliveries.map((row) => [row.id, row]));
    const events = golden.records
      .filter(({ topic }) => topic === 'deliveries')
      .map(({ value }) => JSON.parse(value) as { delivery: string; outcome?: string });
    const troubled = new Set(
      events.filter(({ outcome }) => outcome !== 'succeeded').map(({ delivery }) => delivery),
    );
    const addedSince: Record<string, (row: Record<string, unknown>) => object> = {
      attempt: ({ delivery }) => {
        const { account, endpoint } = rowOf.get(String(delivery)) ?? {};
        return { tls: null, account, endpoint };
      },
      message: () => ({ shredded_at: null, payload_sha256: null, payload_bytes: null }),
      delivery: ({ id }) => ({ troubled: troubled.has(String(id)) ? true : null }),
    };
    const { tenant, endpoint } = golden.rows['delivery']?.[0] as { tenant: string; endpoint: string };
    const minute = { minute: 29833333, tenant, endpoint, delivered: 0, failed: 0, deferred: 0 };
    golden.rows['endpoint_minute'] = [
      { ...minute, bucket: -1, deferred: 2 },
      { ...minute, bucket: 12, delivered: 2, failed: 3 },
      // A timeout of 15 s.
      { ...minute, bucket: 55, failed: 1 },
    ];
    for (const table of TABLES) {
      const found = dump[table]?.map((row) => JSON.parse(row) as unknown);
      const expected = (golden.rows[table] ?? []).map((row) => ({
        ...(row as object),
        ...addedSince[table]?.(row as Record<string, unknown>),
      }));
      expect({ table, rows: found }).toEqual({ table, rows: expected });
    }
  });
});

/** A pool whose transactions lose their server process when they are about to commit. */
function dyingAtCommit(pool: pg.Pool): pg.Pool {
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    client.on('error', () => undefined);
    const { rows: found } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const query = async (...args: unknown[]): Promise<unknown> => {
      if (args[0] === 'commit') await pool.query('select pg_terminate_backend($1, 5000)', [found[0]?.pid]);
      return Reflect.apply(client.query.bind(client), client, args) as Promise<unknown>;
    };
    return new Proxy(client, {
      get: (target, name) => (name === 'query' ? query : bound(target, name)),
    });
  };
  return new Proxy(pool, { get: (target, name) => (name === 'connect' ? connect : bound(target, name)) });
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
