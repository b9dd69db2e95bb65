import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId, type TenantState, topics } from '@posthaste/contracts';
import { MemoryEventLog } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, migrate } from '@posthaste/runtime';
import { waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { Configuration1790000000000 } from '../migrations/1790000000000-configuration.js';
import { DeliveryEngine1791000000000 } from '../migrations/1791000000000-delivery-engine.js';
import { OutboxRelay } from './relay.js';

// Two replicas' relays on one outbox. Each has its own way to the log, so that one can lose it.

let server: TemporaryPostgres;
let database: pg.Pool;
let logs: MemoryEventLog[];
let relays: OutboxRelay[];
const { logger } = createLogger('relay', 'silent');

beforeAll(async () => {
  server = await startTemporaryPostgres('relay');
  await migrate(server.url, 'config', [Configuration1790000000000, DeliveryEngine1791000000000]);
  database = new pg.Pool({ connectionString: server.url, max: 2 });
  // The server stops before the pool's last connection has ended, or under it.
  database.on('error', () => undefined);
}, 60_000);
afterAll(async () => {
  await database.end();
  await server.remove();
});
beforeEach(async () => {
  await database.query('truncate config.outbox');
  logs = [new MemoryEventLog(), new MemoryEventLog()];
  for (const log of logs) await log.admin.ensureTopics([topics.config], 'single');
  relays = logs.map((log) => new OutboxRelay({ databaseUrl: server.url, log, logger, batchRows: 20 }));
  for (const relay of relays) relay.start();
});
afterEach(async () => {
  for (const log of logs) log.broker.answerAgain();
  await Promise.all(relays.map((relay) => relay.stop()));
});

const tenant = newId('tenant');

/** What a change leaves in the outbox: versions `from` to `to` of one entity, each with its notification. */
async function change(from: number, to: number): Promise<void> {
  for (let version = from; version <= to; version++) {
    const state: TenantState = {
      kind: 'tenant',
      id: tenant,
      version,
      deleted: false,
      name: 'x',
      dataKeys: [],
    };
    const { key, value } = topics.config.encode(state);
    await database.query('insert into config.outbox (topic, key, value) values ($1, $2, $3)', [
      topics.config.name,
      key,
      value.toString(),
    ]);
  }
  await database.query(`select pg_notify('config_outbox', '')`);
}

/** Every version in one relay's log, as it lies there. */
async function versionsIn(log: MemoryEventLog): Promise<number[]> {
  const versions: number[] = [];
  const following = await log.reader.follow(topics.config, (record) => {
    versions.push(topics.config.decode(record).version);
  });
  await following.caughtUp;
  await following.close();
  return versions;
}

async function outboxIsEmpty(): Promise<boolean> {
  const { rowCount } = await database.query('select 1 from config.outbox');
  return rowCount === 0;
}

/** The session of the relay that is appending: it alone holds its transaction open. */
async function sessionAtWork(): Promise<number | undefined> {
  const { rows } = await database.query<{ pid: number }>(
    `select a.pid from pg_stat_activity a join pg_locks l on l.pid = a.pid and l.locktype = 'advisory'
      where a.application_name = 'management-api relay' and a.state = 'idle in transaction'`,
  );
  return rows[0]?.pid;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('two relays', () => {
  it('carry every change once, and the versions of an entity in their order', async () => {
    await change(1, 150);
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    const [first = [], second = []] = await Promise.all(logs.map(versionsIn));
    expect([...first, ...second].sort((a, b) => a - b)).toEqual(range(1, 150));
    for (const versions of [first, second]) expect(versions).toEqual([...versions].sort((a, b) => a - b));
  });

  it('hand over when one stops', async () => {
    await change(1, 1);
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    await relays[0]?.stop();
    await change(2, 2);
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    expect(await versionsIn(logs[1] as MemoryEventLog)).toContain(2);
    expect(relays[1]?.failure()).toBeNull();
  });

  it('hand over when one dies in the middle of an append: nothing is lost', async () => {
    for (const log of logs) log.broker.stopAnswering();
    await change(1, 30);
    const died = await waitFor(sessionAtWork, { what: 'a relay at work' });
    await database.query('select pg_terminate_backend($1)', [died]);
    const next = await waitFor(async () => {
      const pid = await sessionAtWork();
      return pid !== died && pid;
    });
    expect(next).toEqual(expect.any(Number));
    for (const log of logs) log.broker.answerAgain();
    await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
    const carried = (await Promise.all(logs.map(versionsIn))).flat();
    expect(new Set(carried)).toEqual(new Set(range(1, 30)));
  });
});

it('a relay without its log says so, and goes on by itself when the log is back', async () => {
  await relays[1]?.stop();
  const log = new MemoryEventLog({ ackTimeoutMs: 50 });
  await log.admin.ensureTopics([topics.config], 'single');
  await relays[0]?.stop();
  const relay = new OutboxRelay({ databaseUrl: server.url, log, logger });
  relays = [relay];
  logs = [log];
  log.broker.stopAnswering();
  relay.start();
  await change(1, 3);
  await waitFor(() => relay.failure()?.includes('acknowledge') ?? relay.failure(), {
    what: 'a failure told',
  });
  log.broker.answerAgain();
  await waitFor(outboxIsEmpty, { what: 'an empty outbox' });
  await waitFor(() => relay.failure() === null, { what: 'no failure any more' });
  expect(new Set(await versionsIn(log))).toEqual(new Set([1, 2, 3]));
});
