import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, topics } from '@posthaste/contracts';
import { type EventLog, openEventLog, partitionOf } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import type { RebuildProgress, RebuildStep, RunningRebuilds } from '@posthaste/rebuild';
import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { endOf, forkSource, type RebuildChildOrder, seededRandom, waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { dueIndexMigrations, scheduleSettings } from '../due-index/index.js';
import { DueTraffic } from '../proving/due-traffic.js';
import { attempted, cancelled, deliveryOf, endpointOf, requested } from '../sample-facts.js';
import { dueRebuildMigrations, REBUILD_SCHEMA, startDueRebuilds } from './index.js';

const { logger } = createLogger('rebuild-spec', 'silent');
const random = seededRandom();
const HOURS = 3_600_000;
let postgres: TemporaryPostgres;
let pool: pg.Pool;
let filling: pg.Pool;
let log: EventLog;
let traffic: DueTraffic;
let gone: string[] = [];
const errors: unknown[] = [];

beforeAll(async () => {
  postgres = await startTemporaryPostgres('due-rebuild');
  await migrate(postgres.url, 'schedule', dueIndexMigrations);
  await migrate(postgres.url, REBUILD_SCHEMA, dueRebuildMigrations);
  pool = createPool({ url: postgres.url, name: 'spec', max: 6, logger, settings: scheduleSettings });
  filling = createPool({
    url: postgres.url,
    name: 'spec-filling',
    max: 3,
    logger,
    settings: scheduleSettings,
  });
  log = await openEventLog({ kind: 'postgres', url: postgres.url });
  await log.admin.ensureTopics([topics.deliveries, topics.due], 'single');
  traffic = await DueTraffic.start(log, pool, random, (error) => void errors.push(error));
  await traffic.publish(300);
}, 90_000);
beforeEach(expectAllDone, 90_000);
afterAll(async () => {
  await traffic.stop();
  await log.close();
  await Promise.all([pool.end(), filling.end()]);
  await postgres.remove();
});

type Row = Record<string, unknown> & { delivery: string; due_at: number };

/** Every column of every row. */
async function dump(): Promise<Row[]> {
  return (await pool.query<Row>('select * from schedule.due order by delivery')).rows;
}

function startRebuilds(): RunningRebuilds {
  return startDueRebuilds({
    log,
    url: postgres.url,
    pool,
    filling,
    gone: () => gone,
    opened: Promise.resolve(),
    onStep: () => undefined,
    onRetry: (error) => void errors.push(error),
  });
}

async function rebuild(rebuilds: RunningRebuilds): Promise<RebuildProgress> {
  expect(await rebuilds.start()).toMatchObject({ status: 'running' });
  const end = await waitFor(
    async () => {
      const progress = await rebuilds.progress();
      return progress?.status !== 'running' ? progress : undefined;
    },
    { what: 'the end of the rebuild', everyMs: 50, deadlineMs: 60_000 },
  );
  expect(end).toMatchObject({ status: 'completed', reason: null });
  return end;
}

const schemas = async (): Promise<string[]> =>
  (
    await pool.query<{ name: string }>(
      `select nspname as name from pg_namespace where nspname in ('schedule', 'schedule_next', 'schedule_old') order by 1`,
    )
  ).rows.map(({ name }) => name);

const whenClean = (): Promise<boolean> =>
  waitFor(async () => (await schemas()).length === 1, { what: 'what was beside is gone' });

const oidOfDue = async (): Promise<unknown> =>
  (await pool.query<{ oid: number }>(`select 'schedule.due'::regclass::oid as oid`)).rows;

/** Publishes until told to stop. */
function keepPublishing(): { stop(): Promise<void> } {
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) {
      await waitFor(() => traffic.unsettled < 200, { what: 'room for more' });
      await traffic.publish(10);
    }
  })();
  publishing.catch((error: unknown) => errors.push(error));
  return {
    stop: () => {
      isOver = true;
      return publishing;
    },
  };
}

/** Every delivery is done and the index is empty: nothing was lost. None went twice. */
async function expectAllDone(): Promise<void> {
  await traffic.answerAll();
  await waitFor(() => traffic.unsettled === 0, { what: 'all deliveries done', deadlineMs: 60_000 });
  await traffic.answerAll();
  expect(traffic.repeated).toEqual([]);
  expect(await dump()).toEqual([]);
  expect(errors).toEqual([]);
}

/** Settles messages that a test had put off. */
const settle = (messages: AcceptedMessage[], attempt: number): Promise<void> =>
  traffic.report(messages.map((message) => attempted(message, attempt, { kind: 'delivered' })));

/** Messages without a key that are owed their second attempt much later. */
async function owedLater(count: number): Promise<AcceptedMessage[]> {
  const found: AcceptedMessage[] = [];
  while (found.length < count) {
    for (const message of traffic.acceptAll(count)) {
      if (traffic.isOrdered(deliveryOf(message))) await settle([message], 1);
      else found.push(message);
    }
  }
  const messages = found.splice(0, count);
  await settle(found, 1);
  const at = (): number => Date.now() + HOURS + random.below(HOURS);
  await traffic.report(messages.map((message) => attempted(message, 1, { kind: 'retry', at: at() })));
  return messages;
}

describe('a rebuild of the due index', () => {
  it('loses nothing and hands nothing over twice, while releases and reports go on', async () => {
    const rebuilds = startRebuilds();
    const publishing = keepPublishing();
    const oids = new Set([JSON.stringify(await oidOfDue())]);
    for (let round = 0; round < 4; round++) {
      const end = await rebuild(rebuilds);
      expect(end.tables).toMatchObject([{ table: 'due', missing: 0 }]);
      oids.add(JSON.stringify(await oidOfDue()));
      await whenClean();
    }
    expect(oids.size).toBe(5);
    await publishing.stop();
    await rebuilds.stop();
    await expectAllDone();
  }, 240_000);

  it('gives the same rows, column for column, and waits for answers of what is under way', async () => {
    const later = await owedLater(40);
    traffic.isHolding = true;
    await traffic.publish(300);
    await waitFor(() => traffic.unanswered.length >= 10, { what: 'many under way' });
    await waitFor(async () => (await dump()).some(({ parked }) => parked), { what: 'some parked' });
    await traffic.stopReleases();
    const before = await dump();
    const states = (rows: Row[]): Set<unknown> => new Set(rows.map(({ key_state }) => key_state));
    expect(states(before)).toEqual(new Set([null, 'behind', 'released', 'first']));
    expect(before.filter(({ parked }) => parked).length).toBeGreaterThan(0);
    const rebuilds = startRebuilds();
    const startedAt = Date.now();
    await rebuild(rebuilds);
    const after = await dump();
    const live = new Set(before.map(({ delivery }) => delivery));
    const stable = (row: Row) =>
      // When it became first; it is due all the same.
      row['reason'] === 'behind_key' && row['key_state'] === 'first' ? { ...row, due_at: 'due' } : row;
    expect(after.filter(({ delivery }) => live.has(delivery)).map(stable)).toEqual(before.map(stable));
    const waiting = after.filter(({ delivery }) => !live.has(delivery));
    expect(waiting.map(({ delivery }) => delivery)).toEqual(
      traffic.unanswered.filter((delivery) => !traffic.isOrdered(delivery)),
    );
    expect(waiting.length).toBeGreaterThan(0);
    expect(Math.min(...waiting.map(({ due_at }) => due_at))).toBeGreaterThanOrEqual(startedAt + 15 * 60_000);
    await rebuilds.stop();
    traffic.startReleases();
    await settle(later, 2);
    await traffic.answerAll();
    await expectAllDone();
  }, 120_000);

  it('puts right an index that is damaged', async () => {
    const later = await owedLater(60);
    const before = await dump();
    expect(before).toHaveLength(60);
    const [lost, late, wrong, settled] = [0, 15, 30, 45].map((from) =>
      later.slice(from, from + 15).map(deliveryOf),
    ) as [string[], string[], string[], string[]];
    await settle(later.slice(45), 2);
    const right = before.filter(({ delivery }) => !settled.includes(delivery));
    expect(await dump()).toEqual(right);
    // What is parked by mistake would go.
    await traffic.stopReleases();
    await pool.query('delete from schedule.due where delivery = any($1)', [lost]);
    await pool.query(
      `update schedule.due set due_at = due_at + 86400000, parked = true where delivery = any($1)`,
      [late],
    );
    await pool.query(
      `update schedule.due set attempt = 7, endpoint = 'ep_wrong', trigger = 'resend' where delivery = any($1)`,
      [wrong],
    );
    await pool.query(
      `insert into schedule.due (delivery, message, tenant, account, endpoint, attempt, due_at, trigger)
       select delivery, 'msg_0', 't', 'a', 'ep_0', 3, $2, 'retry' from unnest($1::text[]) as s (delivery)`,
      [settled, Date.now() + 2 * HOURS],
    );
    const rebuilds = startRebuilds();
    const end = await rebuild(rebuilds);
    expect(end.tables).toEqual([{ table: 'due', live: 45, rebuilt: 45, missing: 15 }]);
    expect(await dump()).toEqual(right);
    traffic.startReleases();
    await rebuilds.stop();
    await settle(later.slice(0, 45), 2);
    await expectAllDone();
  }, 120_000);

  it('hastens again what is owed to endpoints that are gone', async () => {
    const messages = await owedLater(10);
    traffic.isHolding = true;
    gone = [endpointOf(messages[0] as AcceptedMessage)];
    const theirs = messages.filter((message) => endpointOf(message) === gone[0]).map(deliveryOf);
    const rebuilds = startRebuilds();
    await rebuild(rebuilds);
    await rebuilds.stop();
    gone = [];
    await waitFor(() => traffic.unanswered.length === theirs.length, { what: 'theirs handed over' });
    expect(traffic.unanswered).toEqual(theirs.sort());
    expect(await dump()).toHaveLength(10 - theirs.length);
    await traffic.report(messages.map((message) => cancelled(message, 2)));
    await traffic.answerAll();
    await expectAllDone();
  }, 120_000);

  it('is one at a time, can be cancelled, and changes nothing then', async () => {
    const messages = await owedLater(10);
    const [before, oid] = [await dump(), await oidOfDue()];
    const rebuilds = startRebuilds();
    const [one, other] = [await rebuilds.start(), await rebuilds.start()];
    expect(other).toMatchObject({ id: (one as RebuildProgress).id });
    await rebuilds.cancel();
    expect(await rebuilds.progress()).toMatchObject({ status: 'cancelled' });
    await rebuilds.stop();
    const next = startRebuilds();
    await whenClean();
    await next.stop();
    expect([await dump(), await oidOfDue()]).toEqual([before, oid]);
    await settle(messages, 2);
    await expectAllDone();
  }, 60_000);

  it('survives kill -9 at any point: nothing is lost, nothing goes twice, and the next process ends it', async () => {
    const deaths: NonNullable<RebuildChildOrder<RebuildStep>['dieAt']>[] = [
      { step: 'created', nth: 1 },
      { step: 'applied', nth: 1 },
      { step: 'applied', nth: 2 },
      { step: 'filled', nth: 1 },
      { step: 'compared', nth: 1 },
      { step: 'swapping', nth: 1 },
      { step: 'swapped', nth: 1 },
      { step: 'created', nth: 1 },
      { step: 'compared', nth: 1 },
      { step: 'swapping', nth: 1 },
    ];
    const completed = async (): Promise<number> =>
      (await pool.query(`select from schedule_rebuild.run where status = 'completed'`)).rowCount ?? 0;
    const before = await completed();
    const publishing = keepPublishing();
    for (const dieAt of deaths) {
      const oid = await oidOfDue();
      expect(await endOf(startChild({ url: postgres.url, dieAt }))).toBe('SIGKILL');
      if (dieAt.step === 'swapped') expect(await oidOfDue()).not.toEqual(oid);
      else expect(await oidOfDue()).toEqual(oid);
    }
    expect(await endOf(startChild({ url: postgres.url }))).toBe(0);
    await publishing.stop();
    expect(await schemas()).toEqual(['schedule']);
    expect(await completed()).toBe(before + 2);
    await expectAllDone();
  }, 280_000);

  it('keeps what the log has forgotten as it is, and puts the rest right', async () => {
    const messages = await owedLater(40);
    const partitions = (await log.admin.endOffsets(topics.deliveries)).length;
    const partitionOfMessage = ({ meta }: AcceptedMessage): number => partitionOf(meta.account, partitions);
    const forgetful = partitionOfMessage(messages[0] as AcceptedMessage);
    const [old, young] = [
      messages.filter((message) => partitionOfMessage(message) === forgetful).map(deliveryOf),
      messages.filter((message) => partitionOfMessage(message) !== forgetful).map(deliveryOf),
    ];
    expect(young.length).toBeGreaterThan(0);
    const before = await dump();
    for (const isEmpty of [true, false]) {
      await pool.query(
        `with topic as (select id from log.topic where name = 'deliveries'),
           forgotten as (delete from log.record r using topic t where r.topic = t.id and r.partition = $1)
         update log.partition_head h set start = next from topic t where h.topic = t.id and h.partition = $1`,
        [forgetful],
      );
      if (!isEmpty) {
        const [message] = messages.filter((one) => partitionOfMessage(one) === forgetful);
        if (message) await traffic.report([requested(message, 2)]);
      }
      await pool.query('delete from schedule.due where delivery = any($1)', [young]);
      const rebuilds = startRebuilds();
      const end = await rebuild(rebuilds);
      expect(end.tables).toEqual([{ table: 'due', live: old.length, rebuilt: 40, missing: 0 }]);
      expect(await dump()).toEqual(before);
      await rebuilds.stop();
      await whenClean();
    }
    await settle(messages, 2);
    await expectAllDone();
  }, 120_000);
});

function startChild(order: RebuildChildOrder<RebuildStep>): ChildProcess {
  return forkSource(path.join(import.meta.dirname, '../proving/rebuild-child.main.ts'), [
    JSON.stringify(order),
  ]);
}
