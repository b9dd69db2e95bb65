import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { topics } from '@posthaste/contracts';
import { MemoryEventLog } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, startTelemetry } from '@posthaste/runtime';
import fastify, { type FastifyInstance } from 'fastify';
import type pg from 'pg';
import { prepareServer } from '../http/server.js';
import { OPERATOR_KEY, startApi } from '../proving/api-under-test.js';
import { recordsOf } from '../proving/logged-messages.js';
import { publishPool, registerPublish } from './index.js';

// The publish path on a log that does not live in PostgreSQL, so that each can be away without the other.

const PEPPER = 'pepper-of-the-outages-0123456789abcdef';
const STALE_LIMIT_MS = 60_000;

let postgres: TemporaryPostgres;
let key: string;
let otherKey: string;
let pool: pg.Pool;
let log: MemoryEventLog;
let server: FastifyInstance;
let now = 1_800_000_000_000;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('outages');
  const api = await startApi(postgres.url, { POSTHASTE_KEY_PEPPER: PEPPER });
  const tenant = await api.newTenant();
  for (const account of ['acme', 'unseen']) {
    await tenant.putAccount(account);
    await tenant.createEndpoint(account, { url: 'https://receiver.example/' });
  }
  key = tenant.key;
  otherKey = (await api.newTenant()).key;
  await api.stop();
}, 60_000);

beforeEach(async () => {
  await server?.close();
  await pool?.end();
  const { logger } = createLogger('outages', 'silent');
  pool = createPool({ url: postgres.url, logger, ...publishPool });
  log = new MemoryEventLog({ ackTimeoutMs: 100 });
  await log.admin.ensureTopics(Object.values(topics), 'single');
  server = fastify();
  prepareServer(server, logger);
  const telemetry = startTelemetry({ service: 'outages' });
  registerPublish(server, {
    pool,
    log,
    telemetry,
    logger,
    pepper: PEPPER,
    operatorKey: OPERATOR_KEY,
    now: () => now,
  });
});

afterAll(async () => {
  await server?.close();
  await pool?.end();
  await postgres?.remove();
});

interface Published {
  status: number;
  retryAfter: unknown;
  id: string;
  deliveries: number;
  code: string;
}

async function publish(
  headers: Record<string, string> = {},
  account = 'acme',
  withKey = key,
): Promise<Published> {
  const {
    statusCode,
    headers: answered,
    body,
  } = await server.inject({
    method: 'POST',
    url: `/v1/accounts/${account}/messages`,
    headers: { authorization: `Bearer ${withKey}`, 'content-type': 'application/json', ...headers },
    payload: '{"event_type":"a","payload":1}',
  });
  return { ...(JSON.parse(body) as Published), status: statusCode, retryAfter: answered['retry-after'] };
}

const accepted = { status: 202, deliveries: 1 };
const unavailable = { status: 503, code: 'unavailable', retryAfter: '1' };

async function isStale({ id }: Published): Promise<boolean> {
  const [record] = await recordsOf(log, id);
  return record?.meta.staleConfig ?? false;
}

describe('while PostgreSQL is stopped', () => {
  it('what it said less than a minute ago is used, and the record says so', async () => {
    expect(await isStale(await publish())).toBe(false);
    await postgres.stop();
    try {
      const stale = await publish();
      expect(stale).toMatchObject(accepted);
      expect(await isStale(stale)).toBe(true);
      expect(await publish({}, 'unseen')).toMatchObject(unavailable);
      expect(await publish({}, 'acme', otherKey)).toMatchObject(unavailable);
      expect(await publish({ 'idempotency-key': 'k' })).toMatchObject(unavailable);
      expect(await publish({}, 'acme', 'garbage')).toMatchObject({ status: 401 });
      now += STALE_LIMIT_MS - 1;
      expect(await publish()).toMatchObject(accepted);
      now += 1;
      expect(await publish()).toMatchObject(unavailable);
    } finally {
      await postgres.restart();
    }
    const fresh = await publish();
    expect(fresh).toMatchObject(accepted);
    expect(await isStale(fresh)).toBe(false);
  }, 30_000);

  it('frozen counts as stopped', async () => {
    await publish();
    await postgres.kill('SIGSTOP');
    try {
      const stale = await publish();
      expect(stale).toMatchObject(accepted);
      expect(await isStale(stale)).toBe(true);
    } finally {
      await postgres.kill('SIGCONT');
    }
    expect(await isStale(await publish())).toBe(false);
  }, 30_000);

  it('a key that has expired meanwhile is refused', async () => {
    const expiry =
      'update config.api_key set expires_at = to_timestamp($1::float8 / 1000) where digest is not null';
    // The database's clock is the real one.
    now = Date.now();
    await pool.query(expiry, [now + 30_000]);
    expect(await publish()).toMatchObject(accepted);
    await postgres.stop();
    try {
      now += 29_999;
      expect(await publish()).toMatchObject(accepted);
      now += 1;
      expect(await publish()).toMatchObject({ status: 401 });
    } finally {
      await postgres.restart();
      await pool.query('update config.api_key set expires_at = null');
    }
  }, 30_000);
});

describe('while the log does not answer', () => {
  it('nothing is accepted', async () => {
    log.broker.stopAnswering();
    expect(await publish()).toMatchObject(unavailable);
    log.broker.answerAgain();
    expect(await publish()).toMatchObject(accepted);
  });

  it('a repeat with the same Idempotency-Key gets the same message id, even of a record the log has', async () => {
    const headers = { 'idempotency-key': 'lost' };
    log.broker.loseAcknowledgements(1);
    expect(await publish(headers)).toMatchObject(unavailable);
    const repeated = await publish(headers);
    expect(repeated).toMatchObject(accepted);
    // At least once: the log has it twice, under one id, and so each delivery has one id as well.
    expect(await recordsOf(log, repeated.id)).toHaveLength(2);
    expect((await publish(headers)).id).toBe(repeated.id);
    expect(await recordsOf(log, repeated.id)).toHaveLength(2);
  });
});
