import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  type AcceptedMessage,
  type DueDelivery,
  type DueDeliveryPayload,
  topics,
} from '@posthaste/contracts';
import type { OutgoingRecord, Position } from '@posthaste/event-log';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, inTransaction, migrate } from '@posthaste/runtime';
import { waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { DueIndex1790000000000 } from '../due-index/due-index-migration.js';
import { upsertOwed } from '../due-index/sql/upsert-owed.js';
import { deliveryOf, endpointOf, sampleMessage } from '../sample-facts.js';
import { EndpointShare } from './endpoint-share.js';
import { releaseBatch, type ReleaseOutcome, type ReleaseParts } from './release-batch.js';
import { ReleaseLoop } from './release-loop.js';

const { logger } = createLogger('release-spec', 'silent');
const dataRoot = mkdtempSync(path.join(os.tmpdir(), 'posthaste-release-'));
let postgres: EmbeddedPostgres;
let pool: pg.Pool;

beforeAll(async () => {
  // The server may run as another user than the tests.
  chmodSync(dataRoot, 0o755);
  postgres = await startEmbeddedPostgres({ dataDir: path.join(dataRoot, 'data') });
  await migrate(postgres.url, 'schedule', [DueIndex1790000000000]);
  pool = createPool({
    url: postgres.url,
    name: 'spec',
    max: 8,
    logger,
    settings: { synchronous_commit: 'off', enable_seqscan: 'off' },
  });
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.stop();
  rmSync(dataRoot, { recursive: true, force: true });
});

/** What history knows, what the log was given, and how many it lets through before it fails. */
let known: Map<string, DueDeliveryPayload>;
let appended: DueDelivery[];
let asked: string[][];
beforeEach(async () => {
  known = new Map();
  appended = [];
  asked = [];
  await pool.query('truncate schedule.due');
});
afterEach(() => {
  jest.restoreAllMocks();
});

const parts = (over: Partial<ReleaseParts> = {}): ReleaseParts => ({
  pool,
  producer: {
    append: async (records: OutgoingRecord[]): Promise<Position[]> => {
      for (const record of records) appended.push(topics.due.decode(record));
      return [];
    },
  },
  payloads: async (deliveries) => {
    asked.push(deliveries);
    return deliveries.map((delivery) => known.get(delivery)).filter((entry) => entry !== undefined);
  },
  share: new EndpointShare({ least: Infinity, most: Infinity }),
  ...over,
});

interface Owing {
  attempt?: number;
  dueInMs?: number;
  status?: string;
  attempts?: number;
  isKnown?: boolean;
}

/** Puts the delivery of the message into the index, and its message into history. */
async function owe(messages: AcceptedMessage[], owing: Owing = {}): Promise<void> {
  const { attempt = 2, dueInMs = -1_000, status = 'retrying', attempts = 1, isKnown = true } = owing;
  const rows = messages.map((message) => ({
    delivery: deliveryOf(message),
    message: message.meta.id,
    tenant: message.meta.tenant,
    account: message.meta.account,
    endpoint: endpointOf(message),
    attempt,
    dueAt: Date.now() + dueInMs,
    trigger: 'retry' as const,
    reason: null,
  }));
  await inTransaction(pool, (client) => upsertOwed(client, rows));
  for (const message of isKnown ? messages : []) {
    const id = deliveryOf(message);
    const message_meta_json = JSON.stringify(message.meta);
    known.set(id, { id, status, attempts, message_meta_json, payload: message.payload });
  }
}

const indexed = async (): Promise<string[]> =>
  (await pool.query<{ delivery: string }>('select delivery from schedule.due order by 1')).rows.map(
    (row) => row.delivery,
  );
const released = (): string[] => appended.map(({ meta }) => `${meta.id}/${meta.attempt}`).sort();
const manyMessages = (count: number, endpoint?: string): AcceptedMessage[] =>
  Array.from({ length: count }, () => sampleMessage(endpoint));

describe('a release', () => {
  it('appends what the dispatcher needs, byte for byte, and takes the attempt out of the index', async () => {
    const message = sampleMessage();
    message.payload = Buffer.from([0, 255, 34, 92, 10]);
    await owe([message, sampleMessage()], { attempt: 3, attempts: 2 });
    const outcome = await releaseBatch(parts());
    expect(outcome).toMatchObject({ released: 2, dropped: 0, postponed: 0, more: false });
    const found = appended.find(({ meta }) => meta.id === message.meta.id);
    const routes = [{ endpoint: endpointOf(message), version: 0 }];
    expect(found?.meta).toEqual({ ...message.meta, routes, attempt: 3, trigger: 'retry' });
    expect(found?.payload).toEqual(message.payload);
    expect(await indexed()).toEqual([]);
  });

  it('leaves what is not due, by the clock of the database and not its own', async () => {
    const message = sampleMessage();
    await owe([message], { dueInMs: 3_600_000 });
    const threeHoursOn = Date.now() + 3 * 3_600_000;
    jest.spyOn(Date, 'now').mockReturnValue(threeHoursOn);
    expect(await releaseBatch(parts())).toMatchObject({ released: 0, more: false });
    jest.restoreAllMocks();
    await owe([message], { dueInMs: -1_000 });
    const anHourBack = Date.now() - 3_600_000;
    jest.spyOn(Date, 'now').mockReturnValue(anHourBack);
    expect(await releaseBatch(parts())).toMatchObject({ released: 1 });
  });

  it('drops what history says is settled, or attempted already', async () => {
    await owe([sampleMessage()], { status: 'delivered' });
    await owe([sampleMessage()], { status: 'cancelled' });
    await owe([sampleMessage()], { status: 'retrying', attempt: 2, attempts: 2 });
    expect(await releaseBatch(parts())).toMatchObject({ released: 0, dropped: 3 });
    expect(await indexed()).toEqual([]);
  });

  it('keeps what history does not know, asks later, and reports what it should have known for long', async () => {
    const [old, unreadable] = [sampleMessage(), sampleMessage()];
    await owe([old], { isKnown: false });
    await owe([unreadable, sampleMessage()]);
    Object.assign(known.get(deliveryOf(unreadable)) ?? {}, { message_meta_json: '{"v":' });
    const outcome = await releaseBatch(parts());
    const missing = [deliveryOf(old), deliveryOf(unreadable)].sort();
    expect({ ...outcome, missing: [...outcome.missing].sort() }).toEqual({
      released: 1,
      dropped: 0,
      postponed: 2,
      missing,
      more: false,
    });
    expect(await indexed()).toEqual(missing);
    expect(await releaseBatch(parts())).toMatchObject({ released: 0, postponed: 0 });
  });

  it('loses nothing when it dies between the append and its commit: the same attempts are released again', async () => {
    const messages = manyMessages(10);
    await owe(messages);
    const dying = new Proxy(pool, {
      get: (target, name) => {
        if (name === 'connect') return () => clientDyingAtCommit(target);
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    await expect(releaseBatch(parts({ pool: dying }))).rejects.toThrow();
    const before = released();
    expect(before).toHaveLength(10);
    expect(await releaseBatch(parts())).toMatchObject({ released: 10 });
    // Each twice, under the same names, so that the dispatcher knows the second for a repeat.
    expect(released()).toEqual([...before, ...before].sort());
    expect(await releaseBatch(parts())).toMatchObject({ released: 0 });
  });

  it('leaves the index as it is when the log does not acknowledge', async () => {
    await owe(manyMessages(3));
    const append = () => Promise.reject(new Error('the log is away'));
    await expect(releaseBatch(parts({ producer: { append } }))).rejects.toThrow('away');
    expect(await indexed()).toHaveLength(3);
  });

  it("gives an endpoint its share and goes on with the others', however long its backlog", async () => {
    const busy = sampleMessage();
    await owe([busy]);
    await fillIndex(100_000, endpointOf(busy));
    const others = manyMessages(30);
    await owe(others, { dueInMs: -10 });
    const share = new EndpointShare({ least: 20, most: 2_000 });
    let outcome: ReleaseOutcome;
    let batches = 0;
    do outcome = await releaseBatch(parts({ share, payloads: everything }));
    while (outcome.more && ++batches < 10);
    const ofOthers = appended.filter(({ meta }) => meta.routes[0]?.endpoint !== endpointOf(busy));
    expect(ofOthers).toHaveLength(30);
    expect(appended.length - 30).toBeLessThanOrEqual(40);
  }, 30_000);

  it('hands over a backlog of 100,000 once, by two replicas at a time', async () => {
    await fillIndex(100_000);
    const drain = async (): Promise<void> => {
      let more = true;
      while (more) more = (await releaseBatch(parts({ payloads: everything }))).more;
    };
    await Promise.all([drain(), drain()]);
    // Rows that the other one held when a replica looked last.
    await drain();
    expect(new Set(released()).size).toBe(100_000);
    expect(appended).toHaveLength(100_000);
    expect(await indexed()).toEqual([]);
  }, 120_000);

  /** Rows of deliveries made up in the database; `everything` is known of them. */
  async function fillIndex(count: number, endpoint = 'ep_many'): Promise<void> {
    await pool.query(
      `insert into schedule.due (delivery, message, tenant, account, endpoint, attempt, due_at, trigger)
       select 'dlv_' || n, 'msg_' || n, 't', 'a', $2, 2,
         floor(extract(epoch from now()) * 1000)::bigint - 60000 - n % 1000, 'retry'
       from generate_series(1, $1::int) n`,
      [count, endpoint],
    );
  }

  const meta = sampleMessage().meta;
  const everything: ReleaseParts['payloads'] = async (deliveries) =>
    deliveries.map((id) => {
      const message_meta_json = JSON.stringify({ ...meta, id: id.replace('dlv', 'msg') });
      return { id, status: 'retrying', attempts: 1, message_meta_json, payload: Buffer.from('{}') };
    });

  async function clientDyingAtCommit(from: pg.Pool): Promise<pg.PoolClient> {
    const client = await from.connect();
    client.on('error', () => undefined);
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const query = async (...args: unknown[]): Promise<unknown> => {
      if (args[0] === 'commit') await pool.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
      return Reflect.apply(client.query.bind(client), client, args) as Promise<unknown>;
    };
    return new Proxy(client, {
      get: (target, name) => {
        if (name === 'query') return query;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }
});

describe('the release loop', () => {
  const loops: ReleaseLoop[] = [];
  afterEach(() => Promise.all(loops.splice(0).map((loop) => loop.stop())));

  const start = (over: Partial<ConstructorParameters<typeof ReleaseLoop>[0]> = {}) => {
    const failures: unknown[] = [];
    const loop = new ReleaseLoop({
      ...parts(),
      opened: Promise.resolve(),
      onReleased: () => undefined,
      onFailure: (error) => void failures.push(error),
      ...over,
    });
    loops.push(loop);
    loop.start();
    return { loop, failures };
  };

  it('releases nothing before the index has caught up with the log', async () => {
    await owe([sampleMessage()]);
    let open: () => void = () => undefined;
    start({ opened: new Promise((resolve) => (open = resolve)) });
    const other = sampleMessage();
    await owe([other]);
    expect(asked).toEqual([]);
    open();
    await waitFor(() => appended.length === 2);
  });

  it('releases attempts in the order of their times, also one that comes while it sleeps', async () => {
    const [later, sooner] = manyMessages(2) as [AcceptedMessage, AcceptedMessage];
    await owe([later], { dueInMs: 900 });
    const { loop } = start();
    await owe([sooner], { dueInMs: 200 });
    loop.noticeDue(Date.now() + 200);
    await waitFor(() => appended.length === 2);
    expect(appended.map(({ meta }) => meta.id)).toEqual([sooner.meta.id, later.meta.id]);
  });

  it('goes on after a failure, and releases each attempt once beside another loop', async () => {
    let failing = 3;
    const payloads: ReleaseParts['payloads'] = async (deliveries) => {
      if (failing-- > 0) throw new Error('history is away');
      return parts().payloads(deliveries);
    };
    const messages = manyMessages(500);
    await owe(messages);
    const { failures } = start({ payloads });
    start({ payloads });
    await waitFor(() => appended.length >= 500);
    expect(await waitFor(async () => (await indexed()).length === 0)).toBe(true);
    expect(new Set(released()).size).toBe(500);
    expect(appended).toHaveLength(500);
    expect(failures.length).toBeGreaterThan(0);
  });
});
