import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, type DeliveryEvent, newId, topics } from '@posthaste/contracts';
import { type EventLog, openEventLog, runProjection, type RunningProjection } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import type { RebuildStep, RunningRebuilds } from '@posthaste/rebuild';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { endOf, forkSource, type RebuildChildOrder, waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { HISTORY_GROUP, historyProjection, historyTopics } from '../history/history.projection.js';
import { Retention } from '../retention/retention.js';
import { Retention1796000000002 } from '../retention/retention-migration.js';
import { shredPayload } from '../retention/shred-payloads.js';
import { attempted, requested, sampleMessage, shadowOf } from '../history/sample-facts.js';
import { historyMigrations } from '../migrations.js';
import { historyRunsMigration, startHistoryRebuilds } from './index.js';

const { logger } = createLogger('rebuild-spec', 'silent');
const at = Date.now() - 3_600_000;
const sample = { tenant: newId('tenant'), account: newId('account'), endpoint: newId('endpoint'), at };
/** A delivery of an hour ago, of which the log knows nothing. */
const strange = newId('delivery', at);
let postgres: TemporaryPostgres;
let pool: pg.Pool;
let filling: pg.Pool;
let log: EventLog;
let live: RunningProjection;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('rebuild');
  await migrate(postgres.url, 'history', historyMigrations);
  await migrate(postgres.url, 'rebuild', [historyRunsMigration]);
  await migrate(postgres.url, 'retention', [Retention1796000000002]);
  pool = createPool({ url: postgres.url, name: 'spec', max: 6, logger });
  filling = createPool({ url: postgres.url, name: 'spec-filling', max: 2, logger });
  log = await openEventLog({ kind: 'postgres', url: postgres.url });
  await log.admin.ensureTopics(historyTopics, 'single');
  live = await runProjection({
    log,
    group: HISTORY_GROUP,
    topics: historyTopics,
    store: historyProjection(pool, () => undefined),
    onRetry: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
  await publish(900);
}, 90_000);
afterAll(async () => {
  await live.stop();
  await log.close();
  await Promise.all([pool.end(), filling.end()]);
  await postgres.remove();
});

/** Reads that never rest would slow down what they watch. */
const READ_EVERY_MS = 20;

let published = 0;
/** Messages of ten accounts, and what became of them; resolves when live history has them. */
async function publish(count: number): Promise<void> {
  const messages = Array.from({ length: count }, (_, i): AcceptedMessage => {
    const n = published + i;
    return sampleMessage({ ...sample, account: `${sample.account}-${n % 10}`, at: at + n });
  });
  published += count;
  const events = messages.flatMap((message, i): DeliveryEvent[] => {
    const first = attempted(message, 1, { kind: i % 7 === 0 ? 'exhausted' : 'delivered' });
    return i % 7 === 0 ? [first, shadowOf(first), requested(message, 2)] : [first];
  });
  const positions = await log.producer.append([
    ...messages.map((message) => ({ topic: topics.messages, ...topics.messages.encode(message) })),
    ...events.map((event) => ({ topic: topics.deliveries, ...topics.deliveries.encode(event) })),
  ]);
  await live.whenApplied(positions);
}

/** All rows of history, its positions too. */
async function dump(): Promise<Record<string, string[]>> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'history' and tablename <> 'migration' order by 1`,
  );
  const found: Record<string, string[]> = {};
  for (const { name } of tables) {
    const { rows } = await pool.query<{ row: string }>(
      `select md5(t::text) as row from history.${name} t order by 1`,
    );
    found[name] = rows.map(({ row }) => row);
  }
  return found;
}

function startRebuilds(): RunningRebuilds {
  const retention = new Retention({ logger, keptMs: 30 * 86_400_000, feedKeptMs: 30 * 86_400_000 });
  return startHistoryRebuilds({
    log,
    url: postgres.url,
    pool,
    filling,
    sweep: async (of, nowMs) => {
      await retention.shred(of, nowMs, 0);
      await retention.sweep(of, nowMs);
    },
    opened: Promise.resolve(),
    onStep: () => undefined,
    onRetry: (error) => {
      throw error;
    },
  });
}

const schemas = async (): Promise<string[]> =>
  (
    await pool.query<{ name: string }>(
      `select nspname as name from pg_namespace where nspname like 'history%' order by 1`,
    )
  ).rows.map(({ name }) => name);

/** Reads live history over and over: what was there stays there, and no read fails. */
function readAllTheTime(): { stop(): Promise<number> } {
  let isOver = false;
  const reading = (async () => {
    let reads = 0;
    for (let before = 0; !isOver; reads++) {
      await setTimeout(READ_EVERY_MS);
      const { rows } = await pool.query<{ n: number }>({
        name: 'count-all',
        text: `select count(*)::int as n from history.message m join history.delivery d on d.message = m.id
               where exists (select from history.attempt a where a.delivery = d.id)`,
      });
      const now = rows[0]?.n ?? 0;
      if (now < before) throw new Error(`${before} deliveries were there, now ${now} are`);
      before = now;
    }
    return reads;
  })();
  reading.catch(() => undefined);
  return {
    stop: () => {
      isOver = true;
      return reading;
    },
  };
}

describe('a rebuild of history', () => {
  it('gives the same rows, while it is read and written all the time', async () => {
    const { rows: settled } = await pool.query<{ id: string }>(
      `select message as id from history.delivery where status = 'delivered' limit 1`,
    );
    const shredded = { tenant: sample.tenant, id: settled[0]?.id ?? '', by: 'key_1' };
    expect(await shredPayload(pool, shredded, Date.now())).toEqual({ found: true, open: 0 });
    const reader = readAllTheTime();
    const rebuilds = startRebuilds();
    const before = await pool.query<{ oid: number }>(`select 'history.message'::regclass::oid as oid`);
    expect(await rebuilds.start()).toMatchObject({ status: 'running' });
    let isOver = false;
    const writing = (async () => {
      while (!isOver) await publish(20);
    })();
    const end = await waitFor(
      async () => {
        const progress = await rebuilds.progress();
        return progress?.status !== 'running' ? progress : undefined;
      },
      { what: 'the end of the rebuild', everyMs: 50, deadlineMs: 60_000 },
    );
    isOver = true;
    await writing;
    expect(await reader.stop()).toBeGreaterThan(10);
    expect(end).toMatchObject({ status: 'completed', reason: null });
    expect(end.tables?.find(({ table }) => table === 'delivery')).toMatchObject({ missing: 0 });
    expect(end.tables?.find(({ table }) => table === 'message')?.rebuilt).toBeGreaterThanOrEqual(900);
    const after = await pool.query<{ oid: number }>(`select 'history.message'::regclass::oid as oid`);
    expect(after.rows).not.toEqual(before.rows);
    await publish(1);
    const rebuilt = await dump();
    expect(rebuilt['message']).toHaveLength(published);
    const { rows: forgotten } = await pool.query<{ id: string }>(
      `select id from history.message where payload = ''`,
    );
    expect(forgotten).toEqual([{ id: shredded.id }]);
    // What searches of payloads are answered by was made again too, but for what is forgotten.
    expect(rebuilt['payload_key']).toHaveLength(published - 1);
    await waitFor(async () => (await schemas()).length === 1, { what: 'the old tables dropped' });

    // And once more: what was swapped in can be swapped out, and is the same.
    await rebuilds.start();
    await waitFor(async () => (await rebuilds.progress())?.status === 'completed', {
      what: 'the end of the second rebuild',
      everyMs: 50,
      deadlineMs: 60_000,
    });
    await rebuilds.stop();
    expect(await dump()).toEqual(rebuilt);
  }, 150_000);

  it('can be cancelled, and changes nothing then', async () => {
    const before = await dump();
    const rebuilds = startRebuilds();
    await rebuilds.start();
    await rebuilds.cancel();
    expect(await rebuilds.progress()).toMatchObject({ status: 'cancelled' });
    await rebuilds.stop();
    const next = startRebuilds();
    await waitFor(async () => !(await schemas()).includes('history_next'), { what: 'what it had made gone' });
    await next.stop();
    expect(await dump()).toEqual(before);
  }, 30_000);

  it('survives kill -9 at any point: live history is whole, and the next process ends it', async () => {
    const deaths: NonNullable<RebuildChildOrder<RebuildStep>['dieAt']>[] = [
      { step: 'created', nth: 1 },
      { step: 'applied', nth: 1 },
      { step: 'applied', nth: 1 },
      { step: 'filled', nth: 1 },
      { step: 'compared', nth: 1 },
      { step: 'swapping', nth: 1 },
      { step: 'swapped', nth: 1 },
      { step: 'created', nth: 1 },
      { step: 'swapping', nth: 1 },
      { step: 'swapped', nth: 1 },
    ];
    const reader = readAllTheTime();
    for (const dieAt of deaths) {
      const before = await dump();
      expect(await endOf(startChild({ url: postgres.url, dieAt }))).toBe('SIGKILL');
      expect({ dieAt, rows: await dump() }).toEqual({ dieAt, rows: before });
      await publish(10);
    }
    expect(await endOf(startChild({ url: postgres.url }))).toBe(0);
    await reader.stop();
    await publish(1);
    expect((await dump())['message']).toHaveLength(published);
    expect(await schemas()).toEqual(['history']);
    const { rows } = await pool.query<{ n: number }>(
      `select count(*)::int as n from rebuild.run where status = 'completed'`,
    );
    // Two of this spec's first test, and those that were swapped in by processes that died or not.
    expect(rows).toEqual([{ n: 5 }]);
  }, 240_000);

  it.each([
    [
      'of a table nobody fills',
      'create table history.extra as select 1 as n',
      'Nothing was made again of extra',
    ],
    [
      'with rows that the log never had',
      `insert into history.requested_attempt values ('${strange}', 1, 0, 'nobody', null)`,
      'Rows of the live history are not in the log',
    ],
  ])(
    '%s is not put in place of what is live',
    async (_, spoil, reason) => {
      const { rows: migrations } = await pool.query(`select id from history.migration`);
      await pool.query(spoil);
      const rebuilds = startRebuilds();
      await rebuilds.start();
      await waitFor(async () => (await rebuilds.progress())?.status === 'failed', {
        what: 'the end of the rebuild',
        everyMs: 50,
        deadlineMs: 60_000,
      });
      expect((await rebuilds.progress())?.reason).toContain(reason);
      await waitFor(async () => !(await schemas()).includes('history_next'), {
        what: 'what it had made gone',
      });
      await rebuilds.stop();
      expect((await pool.query(`select id from history.migration`)).rows).toEqual(migrations);
      await pool.query(
        `drop table if exists history.extra; delete from history.requested_attempt where delivery = '${strange}'`,
      );
    },
    60_000,
  );

  it('is refused when the log has forgotten its beginning, in a sentence', async () => {
    await pool.query(`update log.partition_head h set start = 5 from log.topic t
                      where t.id = h.topic and t.name = 'messages' and h.partition = 0`);
    const rebuilds = startRebuilds();
    expect(await rebuilds.start()).toEqual({
      refused: expect.stringContaining('The log no longer holds everything: messages/0 begins at offset 5.'),
    });
    await rebuilds.stop();
  });
});

function startChild(order: RebuildChildOrder<RebuildStep>): ChildProcess {
  return forkSource(path.join(import.meta.dirname, '../proving/rebuild-child.main.ts'), [
    JSON.stringify(order),
  ]);
}
