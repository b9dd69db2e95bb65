import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type DeliveryEvent,
  type DeliveryRequested,
  newId,
  type StartReplayRequest,
  topics,
} from '@posthaste/contracts';
import type { OutgoingRecord } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { seededRandom, waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { historyProjection } from '../history/index.js';
import { attempted, cancelled, sampleMessage } from '../history/sample-facts.js';
import { msUntilStep, startReplayLoop, stepReplay } from './replay-loop.js';
import { countRequestable } from './sql/select-requestable.js';
import { getReplay, insertReplay, listReplays, scopeOf, steerReplay } from './sql/steer-replays.js';
import { historyMigrations, replaysMigrations } from '../migrations.js';

const { logger } = createLogger('replays-spec', 'silent');
let postgres: TemporaryPostgres;
let pool: pg.Pool;
let projection: ReturnType<typeof historyProjection>;
/** What the log holds, and how far history has read it. */
let log: DeliveryEvent[] = [];
let applied = 0;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('replays');
  await migrate(postgres.url, 'history', historyMigrations);
  await migrate(postgres.url, 'replays', replaysMigrations);
  pool = createPool({ url: postgres.url, name: 'spec', max: 6, logger });
  projection = historyProjection(pool, ({ reason }) => {
    throw new Error(reason);
  });
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.remove();
});
beforeEach(async () => {
  await pool.query(
    'truncate history.position, history.delivery, history.attempt, history.requested_attempt, replays.replay',
  );
  [log, applied, known] = [[], 0, Infinity];
  await projection.loadPositions([{ topic: 'deliveries', partition: 0 }]);
});

const at = 1_790_000_000_000;
const scope = {
  tenant: newId('tenant', at),
  account: newId('account', at),
  endpoint: newId('endpoint', at),
  since: at,
  until: at + 1_000,
};
const nothingElse = {
  filter: { statuses: [], event_types: [], channels: [] },
  names: { deliveries: [], messages: [], endpoints: [] },
};
const replay: StartReplayRequest = {
  ...{ ...scope, ...nothingElse, kind: 'recover', id: newId('replay', at) },
  ...{ rate_per_second: 1_000, by: 'key_1' },
};
/** How far history knows all messages. */
let known = Infinity;
const horizon = (): Promise<number> => Promise.resolve(known);
const step = (): Promise<boolean> => stepReplay({ pool, producer, horizon });
const messageAt = (acceptedAt: number, endpoint = scope.endpoint) =>
  sampleMessage({ ...scope, endpoint, at: acceptedAt });

const producer = {
  append: async (records: OutgoingRecord[]): Promise<[]> => {
    log.push(...records.map((record) => topics.deliveries.decode(record as never)));
    return [];
  },
};

async function project(...events: DeliveryEvent[]): Promise<void> {
  log.push(...events);
  const fresh = log.slice(applied);
  const records = fresh.map((event, i) => ({
    ...topics.deliveries.encode(event),
    offset: applied + i,
    appendedAt: 0,
  }));
  await projection.apply([{ topic: 'deliveries', partition: 0, from: applied, records, next: log.length }]);
  applied = log.length;
}

const requests = (): DeliveryRequested[] => log.filter((event) => event.type === 'DeliveryRequested');

/** Makes the attempts that are asked for and not made: all in vain. */
async function attemptAll(made: Set<string>): Promise<void> {
  const events: DeliveryEvent[] = [];
  for (const request of requests()) {
    const name = `${request.delivery}/${request.attempt}`;
    if (made.has(name)) continue;
    made.add(name);
    const { delivery, message, attempt, trigger } = request;
    const failure = attempted(messageAt(request.acceptedAt), attempt, { kind: 'exhausted' });
    events.push({ ...failure, delivery, message, trigger, id: `att_${name}` });
  }
  await project(...events);
}

describe('a replay', () => {
  it('is of what was given up on or cancelled for the sake of the endpoint, within its range and nowhere else', async () => {
    const end = (kind: 'exhausted' | 'delivered', when = at, endpoint = scope.endpoint) =>
      attempted(messageAt(when, endpoint), 1, { kind });
    const wanted: DeliveryEvent[] = [
      end('exhausted'),
      end('exhausted', at + 999),
      cancelled(messageAt(at), 1),
      attempted(messageAt(at), 1, { kind: 'cancelled', reason: 'endpoint_gone' }),
    ];
    await project(
      ...wanted,
      end('delivered'),
      end('exhausted', at - 1),
      end('exhausted', at + 1_000),
      end('exhausted', at, newId('endpoint', at)),
      attempted(messageAt(at), 1, { kind: 'retry', at }),
      attempted(messageAt(at), 1, { kind: 'cancelled', reason: 'receiver_aborted' }),
      { ...cancelled(messageAt(at), 1), reason: 'requested' },
    );
    const count = (own: object = {}) => countRequestable(pool, scopeOf({ ...replay, ...own }));
    expect(await count()).toBe(4);
    expect(await count({ tenant: newId('tenant') })).toBe(0);
    await insertReplay(pool, replay, 4, at);
    while (await step()) await pool.query('update replays.replay set next_at = now()');
    const ids = (events: DeliveryEvent[]) => events.map((event) => event.delivery).sort();
    expect(ids(requests())).toEqual(ids(wanted));
    expect(
      requests()
        .map(({ attempt }) => attempt)
        .sort(),
    ).toEqual([1, 2, 2, 2]);
    expect(requests()[0]).toMatchObject({ by: 'key_1', replay: replay.id, trigger: 'recover' });
    await attemptAll(new Set());
    const seen = await getReplay(pool, scope.tenant, replay.id);
    expect(seen).toMatchObject({ status: 'completed', total: 4, requested: 4, succeeded: 0, failed: 4 });
    expect(await getReplay(pool, newId('tenant'), replay.id)).toBeUndefined();
    expect((await listReplays(pool, { tenant: scope.tenant })).data).toEqual([seen]);
    expect((await listReplays(pool, { tenant: scope.tenant, account: 'acc_other' })).data).toEqual([]);
  });

  it('asks for each delivery once, wherever processes die, and though what it asked for fails and matches again', async () => {
    const random = seededRandom();
    const lacking = Array.from({ length: 60 }, (_, i) =>
      // Several share an instant.
      attempted(messageAt(at + Math.floor(i / 4)), 1, { kind: 'exhausted' }),
    );
    await project(...lacking);
    await insertReplay(pool, { ...replay, rate_per_second: 7 }, 60, at);
    const made = new Set<string>();
    let deaths = 0;
    try {
      for (let steps = 0; steps < 500; steps++) {
        await pool.query(`update replays.replay set next_at = now()`);
        const dying = [undefined, 'before the append', 'before the commit'][random.below(3)];
        const parts = {
          horizon,
          pool: dying === 'before the commit' ? dyingAtCommit(1 + random.below(2)) : pool,
          producer,
        };
        if (dying === 'before the append')
          parts.producer = { append: () => Promise.reject(new Error('died')) };
        // Two processes at once.
        const outcomes = await Promise.allSettled([stepReplay(parts), step()]);
        deaths += outcomes.filter(({ status }) => status === 'rejected').length;
        if (random.below(2) === 0) await attemptAll(made);
        if ((await getReplay(pool, scope.tenant, replay.id))?.status === 'completed') break;
      }
      await attemptAll(made);
      expect(await getReplay(pool, scope.tenant, replay.id)).toMatchObject({
        status: 'completed',
        ...{ total: 60, requested: 60, failed: 60 },
      });
      // Some were appended twice; under the same name, which is made once.
      expect([...made].sort()).toEqual(lacking.map(({ delivery }) => `${delivery}/2`).sort());
      expect(deaths).toBeGreaterThan(0);
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  }, 60_000);

  it('keeps its pace, asks for nothing while it is paused, and is over once it is cancelled', async () => {
    await project(
      ...Array.from({ length: 9 }, (_, i) => attempted(messageAt(at + i), 1, { kind: 'exhausted' })),
    );
    await insertReplay(pool, { ...replay, rate_per_second: 3 }, 9, at);
    const steer = (status: 'running' | 'paused' | 'cancelled') =>
      steerReplay(pool, { tenant: scope.tenant, id: replay.id, status }, at + 5);
    const isDue = () => pool.query(`update replays.replay set next_at = now()`);
    const next = async (): Promise<number> => {
      const { rows } = await pool.query<{ at: number }>(
        'select extract(epoch from next_at)::float8 as at from replays.replay',
      );
      return rows[0]?.at ?? NaN;
    };
    const first = await next();
    expect(await step()).toBe(true);
    expect(requests()).toHaveLength(3);
    expect((await next()) - first).toBeGreaterThan(0.999);
    await pool.query(`update replays.replay set next_at = now() + interval '1 hour'`);
    expect(await msUntilStep(pool)).toBeGreaterThan(3_000_000);
    expect(await step()).toBe(false);
    await steer('paused');
    await isDue();
    expect(await step()).toBe(false);
    await steer('running');
    expect(await step()).toBe(true);
    expect(requests()).toHaveLength(6);
    await steer('cancelled');
    await isDue();
    await steer('running');
    expect(await step()).toBe(false);
    expect(await getReplay(pool, scope.tenant, replay.id)).toMatchObject({
      ...{ status: 'cancelled', requested: 6, finished_at: at + 5 },
    });
    // Nothing runs: it looks again after a while.
    expect(await msUntilStep(pool)).toBe(500);
    // Asked to start again under its id, it stays what it is.
    await insertReplay(pool, replay, 9, at);
    expect(await step()).toBe(false);
  });
});

describe('the loop', () => {
  it('takes no transaction while nothing is due, and runs to its end what becomes due', async () => {
    await project(
      ...Array.from({ length: 4 }, (_, i) => attempted(messageAt(at + i), 1, { kind: 'exhausted' })),
    );
    const asked = Promise.withResolvers<void>();
    let transactions = 0;
    const watched = withOwn(pool, {
      query: (text: string): Promise<unknown> => pool.query(text).finally(() => asked.resolve()),
      connect: (): Promise<pg.PoolClient> => {
        transactions += 1;
        return pool.connect();
      },
    });
    const failures: unknown[] = [];
    const loop = startReplayLoop({
      ...{ pool: watched, producer, horizon, opened: Promise.resolve() },
      onFailure: (error) => failures.push(error),
    });
    try {
      await asked.promise;
      expect(transactions).toBe(0);
      await insertReplay(pool, { ...replay, rate_per_second: 3 }, 4, at);
      const isOver = async (): Promise<boolean> =>
        (await getReplay(pool, scope.tenant, replay.id))?.status === 'completed';
      await waitFor(isOver, { what: 'the end of the replay', everyMs: 50 });
    } finally {
      await loop.stop();
    }
    expect(requests()).toHaveLength(4);
    expect(failures).toEqual([]);
  }, 30_000);
});

/** The pool, but its connection is ended by the server when the n-th transaction is about to commit. */
function dyingAtCommit(nth: number): pg.Pool {
  let commits = 0;
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    client.on('error', () => undefined);
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const query = async (...args: unknown[]): Promise<unknown> => {
      if (args[0] === 'commit' && ++commits === nth) {
        await pool.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
      }
      return Reflect.apply(client.query.bind(client), client, args) as Promise<unknown>;
    };
    return withOwn(client, { query });
  };
  return withOwn(pool, { connect });
}

/** The object with some methods in place of its own. */
function withOwn<T extends object>(whole: T, own: Record<string, unknown>): T {
  return new Proxy(whole, {
    get: (target, name) => {
      if (typeof name === 'string' && name in own) return own[name];
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
