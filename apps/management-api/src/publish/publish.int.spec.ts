import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { publishLimits } from '@posthaste/contracts';
import { type EventLog, openEventLog } from '@posthaste/event-log';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@posthaste/local-stack';
import pg from 'pg';
import {
  type ApiUnderTest,
  OPERATOR_KEY,
  startApi,
  type TenantUnderTest,
} from '../testing/api-under-test.js';
import { loggedMessages, recordsOf } from '../testing/logged-messages.js';
import { forgetOldKeys } from './sql/forget-keys.js';

let folder: string;
let postgres: EmbeddedPostgres;
let database: pg.Pool;
let log: EventLog;
let api: ApiUnderTest;
let replica: ApiUnderTest;
let tenant: TenantUnderTest;
let account: string;

const JSON_TYPE = { 'content-type': 'application/json' };
const MESSAGES = '/v1/accounts/acme/messages';
const message = (more: object = {}) =>
  JSON.stringify({ event_type: 'invoice.paid', payload: { n: 1 }, ...more });

interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

async function post(
  body: string | Buffer,
  headers: Record<string, string> = {},
  at: { api?: ApiUnderTest; path?: string; key?: string } = {},
): Promise<Answer> {
  const { api: served = api, path: route = MESSAGES, key = tenant.key } = at;
  const response = await fetch(served.url + route, {
    method: 'POST',
    headers: { ...JSON_TYPE, authorization: `Bearer ${key}`, ...headers },
    body: body as string,
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

const seen = ({ status, body }: Answer) => {
  const errors = (body['errors'] ?? []) as { pointer: string; code: string; offset?: number }[];
  return [status, body['code'], ...errors.map((e) => `${e.pointer} ${e.code} ${e.offset ?? ''}`.trim())];
};

async function createEndpoint(ref: string, fields: object = {}, by = tenant): Promise<string> {
  const { status, body } = await by.api.post(`/v1/accounts/${ref}/endpoints`, {
    url: 'https://receiver.example/hook',
    ...fields,
  });
  expect(status).toBe(201);
  return body.id;
}

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'publish-'));
  chmodSync(folder, 0o755);
  postgres = await startEmbeddedPostgres({ dataDir: path.join(folder, 'pg') });
  api = await startApi(postgres.url);
  replica = await startApi(postgres.url);
  database = new pg.Pool({ connectionString: postgres.url, max: 2 });
  log = await openEventLog({ kind: 'postgres', url: postgres.url });
  tenant = await api.newTenant('publisher');
  account = (await tenant.api.put('/v1/accounts/acme', {})).body.id;
}, 60_000);

afterAll(async () => {
  await replica?.stop();
  await api?.stop();
  await log?.close();
  await database?.end();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('a message', () => {
  it('lies in the log exactly as sent, with the routes it got', async () => {
    const endpoint = await createEndpoint('acme', { event_types: ['invoice.paid'], channels: ['eu', 'us'] });
    await createEndpoint('acme', { event_types: ['invoice.void'] });
    await createEndpoint('acme', { enabled: false });
    const payload = '{"n":12345678901234567890,"d":1.10,"a":1,"a":2,"u":"\\u00e9", "s" : "ü" }';
    const answer = await post(
      `{"payload": ${payload} ,"event_type":"invoice.paid","channels":["eu"],"tags":["t1","é"]}`,
      { 'x-request-id': 'mine-1' },
    );
    expect(answer).toMatchObject({ status: 202, body: { deliveries: 1 } });
    expect(answer.headers.get('x-request-id')).toBe('mine-1');
    const [record, ...others] = await recordsOf(log, answer.body['id'] as string);
    expect(others).toEqual([]);
    expect(record?.payload.toString()).toBe(payload);
    expect(record?.key).toBe(account);
    expect(record?.meta).toEqual({
      v: 1,
      id: expect.stringMatching(/^msg_[0-9A-Za-z]{27}$/),
      tenant: tenant.id,
      account,
      type: 'invoice.paid',
      channels: ['eu'],
      tags: ['t1', 'é'],
      contentType: 'application/json',
      at: expect.any(Number),
      config: 4,
      routes: [{ endpoint, version: 1 }],
    });
  });

  it('may be raw: any bytes, of any type, described by headers', async () => {
    const bytes = Buffer.from([0, 255, 10, 13, 34]);
    const answer = await post(bytes, {
      'content-type': 'application/x-thing; v=2',
      'webhook-event-type': 'thing.made',
      'webhook-channels': 'a, b',
      'webhook-tags': 'x',
    });
    expect(answer.status).toBe(202);
    const [record] = await recordsOf(log, answer.body['id'] as string);
    expect(record?.payload.equals(bytes)).toBe(true);
    expect(record?.meta).toMatchObject({
      type: 'thing.made',
      channels: ['a', 'b'],
      tags: ['x'],
      contentType: 'application/x-thing; v=2',
      routes: [],
    });
  });

  it('is accepted at 256 KB and refused above, in both forms', async () => {
    const bytes = publishLimits.payloadBytes;
    const envelope = (size: number) => `{"event_type":"big","payload":"${'x'.repeat(size - 2)}"}`;
    const raw = { 'webhook-event-type': 'big', 'content-type': 'text/plain' };
    expect((await post(envelope(bytes))).status).toBe(202);
    expect((await post(Buffer.alloc(bytes, 'x'), raw)).status).toBe(202);
    expect(seen(await post(envelope(bytes + 1)))).toEqual([413, 'payload_too_large', '/payload too_large']);
    expect(seen(await post(Buffer.alloc(bytes + 1, 'x'), raw))).toEqual([
      413,
      'payload_too_large',
      'too_large',
    ]);
    expect(seen(await post(Buffer.alloc(publishLimits.bodyBytes + 1, ' ')))).toEqual([
      413,
      'payload_too_large',
    ]);
  });

  it('goes to more than 500 endpoints in several records under one id', async () => {
    const { body } = await tenant.api.put('/v1/accounts/wide', {});
    const first = await createEndpoint('wide');
    await database.query(
      `insert into config.endpoint (id, tenant, account, version, config_version, url, secrets)
       select 'ep_' || lpad(n::text, 27, '0'), tenant, account, 1, config_version, url, secrets
         from config.endpoint, generate_series(1, 1000) n where id = $1`,
      [first],
    );
    await database.query('update config.account set config_version = config_version + 1 where id = $1', [
      body.id,
    ]);
    const answer = await post(message(), {}, { path: '/v1/accounts/wide/messages' });
    expect(answer).toMatchObject({ status: 202, body: { deliveries: 1001 } });
    const records = await recordsOf(log, answer.body['id'] as string);
    expect(records.map(({ meta }) => meta.routes.length)).toEqual([500, 500, 1]);
    expect(new Set(records.flatMap(({ meta }) => meta.routes.map((route) => route.endpoint))).size).toBe(
      1001,
    );
    expect(new Set(records.map(({ payload }) => payload.toString()))).toEqual(new Set(['{"n":1}']));
  });
});

describe('a refused message', () => {
  it.each<[string, string, Record<string, string>, unknown[]]>([
    [
      'unknown field',
      message({ ordering_key: 'k' }),
      {},
      [422, 'validation_failed', '/ordering_key unknown_field'],
    ],
    [
      'duplicate field',
      '{"event_type":"a","event_type":"b","payload":1}',
      {},
      [422, 'validation_failed', '/event_type duplicate_field'],
    ],
    ['no payload', '{"event_type":"a"}', {}, [422, 'validation_failed', '/payload required']],
    [
      'wrong types',
      message({ event_type: 1, channels: 'c', tags: [2] }),
      {},
      [422, 'validation_failed', '/event_type wrong_type', '/channels wrong_type', '/tags/0 wrong_type'],
    ],
    [
      'too many channels',
      message({ channels: Array(11).fill('c') }),
      {},
      [422, 'validation_failed', '/channels too_many'],
    ],
    [
      'long event type',
      message({ event_type: 'a'.repeat(129) }),
      {},
      [422, 'validation_failed', '/event_type too_long'],
    ],
    [
      'malformed JSON',
      '{"event_type":"a","payload":{"b":tru}}',
      {},
      [400, 'malformed_json', 'malformed_json 36'],
    ],
    ['no body', '', {}, [400, 'malformed_json', 'malformed_json 0']],
    [
      'deep payload',
      `{"event_type":"a","payload":${'['.repeat(65)}1${']'.repeat(65)}}`,
      {},
      [400, 'invalid_request', 'too_deep 92'],
    ],
    ['form', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }, [415, 'unsupported_media_type']],
    [
      'other charset',
      message(),
      { 'content-type': 'application/json; charset=latin1' },
      [415, 'unsupported_media_type'],
    ],
    ['raw without body', '', { 'webhook-event-type': 'a' }, [422, 'validation_failed', 'required']],
    [
      'raw with a bad type',
      'x',
      { 'webhook-event-type': 'a b' },
      [422, 'validation_failed', 'webhook-event-type invalid_format'],
    ],
    [
      'raw with an empty tag',
      'x',
      { 'webhook-event-type': 'a', 'webhook-tags': 'a,,b' },
      [422, 'validation_failed', 'webhook-tags invalid_format'],
    ],
    [
      'long idempotency key',
      message(),
      { 'idempotency-key': 'k'.repeat(256) },
      [400, 'invalid_request', 'Idempotency-Key invalid_format'],
    ],
  ])('%s', async (_, body, headers, expected) => {
    const before = (await loggedMessages(log)).length;
    const answer = await post(body, headers);
    expect(seen(answer)).toEqual(expected);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect((await loggedMessages(log)).length).toBe(before);
  });

  it('for want of a key that counts', async () => {
    const other = await api.newTenant('revoker');
    await other.api.put('/v1/accounts/acme', {});
    const { body: second } = await api.operator.post(`/v1/tenants/${other.id}/keys`, { scope: 'tenant' });
    expect((await post(message(), {}, { key: second.key })).status).toBe(202);
    await api.operator.delete(`/v1/tenants/${other.id}/keys/${second.id}`);
    for (const key of [second.key, tenant.key.slice(0, -1), `${tenant.key}x`, 'garbage']) {
      for (const served of [api, replica]) {
        const answer = await post(message(), {}, { key, api: served });
        expect(seen(answer)).toEqual([401, 'unauthenticated']);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    }
    const { status } = await fetch(api.url + MESSAGES, {
      method: 'POST',
      headers: JSON_TYPE,
      body: message(),
    });
    expect(status).toBe(401);
    expect(seen(await post(message(), {}, { key: OPERATOR_KEY }))).toEqual([403, 'forbidden']);
  });

  it("is told the same of another tenant's account as of one that is not there", async () => {
    const other = await api.newTenant('other');
    const { body: foreign } = await other.api.put('/v1/accounts/theirs', {});
    const told = await Promise.all(
      [foreign.id, 'theirs', 'acc_000000000000000000000000000', 'nobody'].map((ref) =>
        post(message(), {}, { path: `/v1/accounts/${ref}/messages` }),
      ),
    );
    expect(told.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    const same = told.map(({ body }) => ({ ...body, instance: '', request_id: '' }));
    expect(new Set(same.map((body) => JSON.stringify(body))).size).toBe(1);
  });

  it("comes from another account's key, or goes to a deleted account", async () => {
    await tenant.api.put('/v1/accounts/mine', {});
    await tenant.api.put('/v1/accounts/gone', {});
    const [{ key: mine }, { key: gone }] = [await tenant.accountApi('mine'), await tenant.accountApi('gone')];
    const at = (ref: string, key: string) =>
      post(message(), {}, { path: `/v1/accounts/${ref}/messages`, key });
    expect((await at('mine', mine)).status).toBe(202);
    expect(seen(await at('acme', mine))).toEqual([404, 'not_found']);
    expect((await at('gone', gone)).status).toBe(202);
    await tenant.api.delete('/v1/accounts/gone', { 'if-match': '*' });
    expect(seen(await at('gone', tenant.key))).toEqual([404, 'not_found']);
    expect(seen(await at('gone', gone))).toEqual([401, 'unauthenticated']);
  });

  it('has an event type outside the catalogue of a tenant that wants known ones', async () => {
    const strict = await api.newTenant('strict');
    await strict.api.put('/v1/accounts/acme', {});
    const at = { key: strict.key };
    expect((await post(message(), {}, at)).status).toBe(202);
    await api.operator.patch(`/v1/tenants/${strict.id}`, { event_type_policy: 'known' }, { 'if-match': '*' });
    const unknown = [422, 'validation_failed', '/event_type unknown_event_type'];
    expect(seen(await post(message(), {}, at))).toEqual(unknown);
    expect((await strict.api.post('/v1/event-types', { name: 'invoice.paid' })).status).toBe(201);
    expect((await post(message(), {}, at)).status).toBe(202);
    await strict.api.patch('/v1/event-types/invoice.paid', { archived: true }, { 'if-match': '*' });
    expect(seen(await post(message(), {}, at))).toEqual(unknown);
  });
});

describe('a change', () => {
  it('that was answered is seen by the next publish, through either replica', async () => {
    await tenant.api.put('/v1/accounts/fresh', {});
    const at = { path: '/v1/accounts/fresh/messages' };
    let deliveries = 0;
    for (let round = 0; round < 200; round++) {
      const [changing, publishing] = round % 2 === 0 ? [api, replica] : [replica, api];
      const { body: endpoint } = await changing
        .as(tenant.key)
        .post('/v1/accounts/fresh/endpoints', { url: 'https://receiver.example/' });
      const created = await post(message(), {}, { ...at, api: publishing });
      expect(created.body['deliveries']).toBe(++deliveries);
      // Every other endpoint goes again, so that both kinds of change are seen.
      if (round % 2 === 0) continue;
      await changing.as(tenant.key).delete(`/v1/endpoints/${endpoint.id}`, { 'if-match': '*' });
      const removed = await post(message(), {}, { ...at, api: publishing });
      expect(removed.body['deliveries']).toBe(--deliveries);
    }
  }, 60_000);
});

describe('Idempotency-Key', () => {
  it('gets the answer of the first request, and no second message', async () => {
    const headers = { 'idempotency-key': 'once' };
    const first = await post(message(), headers);
    const second = await post(message(), headers, { api: replica });
    expect(first.status).toBe(202);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(second).toMatchObject({ status: 202, body: first.body });
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(await recordsOf(log, first.body['id'] as string)).toHaveLength(1);
  });

  it('is refused with another body, another account or another form', async () => {
    const headers = { 'idempotency-key': 'one body' };
    const reused = [422, 'idempotency_key_reused', 'Idempotency-Key used_otherwise'];
    await tenant.api.put('/v1/accounts/second', {});
    expect((await post(message(), headers)).status).toBe(202);
    expect(seen(await post(message({ payload: 2 }), headers))).toEqual(reused);
    expect(seen(await post(message(), headers, { path: '/v1/accounts/second/messages' }))).toEqual(reused);
    expect(seen(await post(message(), { ...headers, 'webhook-event-type': 'a' }))).toEqual(reused);
  });

  it('makes one message of fifty requests at once, through two replicas', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        post(
          message({ tags: ['fifty'] }),
          { 'idempotency-key': 'fifty' },
          { api: i % 2 === 0 ? api : replica },
        ),
      ),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    const running = answers.filter(({ status }) => status === 409);
    expect(accepted.length).toBeGreaterThanOrEqual(1);
    expect(accepted.length + running.length).toBe(50);
    expect(new Set(accepted.map(({ body }) => body['id'])).size).toBe(1);
    expect(accepted.filter(({ headers }) => !headers.has('idempotency-replayed'))).toHaveLength(1);
    for (const answer of running) {
      expect(seen(answer)).toEqual([409, 'idempotency_in_progress', 'Idempotency-Key in_progress']);
      expect(answer.headers.get('retry-after')).toBe('1');
    }
    const records = (await loggedMessages(log)).filter(({ meta }) => meta.tags?.includes('fifty'));
    expect(records).toHaveLength(1);
  });

  it('of a request that died is taken over, under the same message id', async () => {
    const headers = { 'idempotency-key': 'dead' };
    const first = await post(message(), headers);
    const died = `update config.idempotency set response = null, running_until = now() + $1::interval where key = 'dead'`;
    await database.query(died, ['1 hour']);
    expect(seen(await post(message(), headers))).toEqual([
      409,
      'idempotency_in_progress',
      'Idempotency-Key in_progress',
    ]);
    await database.query(died, ['-1 second']);
    const second = await post(message(), headers);
    expect(second).toMatchObject({ status: 202, body: { id: first.body['id'] } });
    expect(second.headers.get('idempotency-replayed')).toBeNull();
  });

  it('is kept for a day', async () => {
    const headers = { 'idempotency-key': 'yesterday' };
    const first = await post(message(), headers);
    const age = `update config.idempotency set created_at = now() - $1::interval where key = 'yesterday'`;
    await database.query(age, ['23 hours 59 minutes']);
    expect(await forgetOldKeys(database)).toBe(0);
    await database.query(age, ['24 hours 1 minute']);
    expect(await forgetOldKeys(database)).toBe(1);
    expect((await post(message(), headers)).body['id']).not.toBe(first.body['id']);
  });

  it('covers a whole batch', async () => {
    const body = `{"messages":[${message()},${message({ payload: 2 })}]}`;
    const at = { path: `${MESSAGES}/batch` };
    const headers = { 'idempotency-key': 'batch' };
    const first = await post(body, headers, at);
    const second = await post(body, headers, at);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(second.body).toEqual(first.body);
    // The key is the route's own: the single route knows nothing of it.
    expect((await post(message(), headers)).headers.get('idempotency-replayed')).toBeNull();
    await database.query(
      `update config.idempotency set response = null, running_until = '-infinity' where key = 'batch'`,
    );
    expect((await post(body, headers, at)).body).toEqual(first.body);
  });
});

describe('event_id', () => {
  it('published again answers 200 with the message it became, however it is written', async () => {
    const first = await post(message({ event_id: 'evt-1' }));
    const again = await post(`{ "event_id" : "evt-1", "payload":{"n":1}, "event_type":"invoice.paid" }`);
    const raw = await post('{"n":1}', { 'webhook-event-type': 'invoice.paid', 'webhook-event-id': 'evt-1' });
    expect([first.status, again.status, raw.status]).toEqual([202, 200, 200]);
    expect([again.body, raw.body]).toEqual([first.body, first.body]);
    expect(await recordsOf(log, first.body['id'] as string)).toHaveLength(1);
    const other = await api.newTenant('another');
    await other.api.put('/v1/accounts/acme', {});
    expect((await post(message({ event_id: 'evt-1' }), {}, { key: other.key })).status).toBe(202);
  });

  it('is refused for another message', async () => {
    expect((await post(message({ event_id: 'evt-2' }))).status).toBe(202);
    expect(seen(await post(message({ event_id: 'evt-2', payload: 2 })))).toEqual([
      422,
      'idempotency_key_reused',
      '/event_id used_otherwise',
    ]);
  });

  it('and Idempotency-Key agree on one message', async () => {
    const first = await post(message({ event_id: 'evt-3' }));
    const keyed = { 'idempotency-key': 'evt-3' };
    expect(await post(message({ event_id: 'evt-3' }), keyed)).toMatchObject({
      status: 200,
      body: first.body,
    });
    const replayed = await post(message({ event_id: 'evt-3' }), keyed);
    expect(replayed).toMatchObject({ status: 200, body: first.body });
    expect(replayed.headers.get('idempotency-replayed')).toBe('true');
  });
});

describe('a batch', () => {
  const batch = (...messages: string[]) =>
    post(`{"messages":[${messages.join()}]}`, {}, { path: `${MESSAGES}/batch` });

  it('is accepted whole, in order, with the messages it already knew', async () => {
    const known = await post(message({ event_id: 'evt-b' }));
    const answer = await batch(message(), message({ event_id: 'evt-b' }), message({ payload: [3] }));
    expect(answer.status).toBe(202);
    const data = answer.body['data'] as { id: string; deliveries: number }[];
    expect(data).toHaveLength(3);
    expect(data[1]).toEqual(known.body);
    expect((await recordsOf(log, data[2]?.id ?? ''))[0]?.payload.toString()).toBe('[3]');
    expect(await recordsOf(log, data[1]?.id ?? '')).toHaveLength(1);
  });

  it('is refused whole', async () => {
    const before = (await loggedMessages(log)).length;
    const bad = await batch(message(), message(), message(), message({ event_type: '-' }));
    expect(seen(bad)).toEqual([422, 'validation_failed', '/messages/3/event_type invalid_format']);
    const twice = await batch(message({ event_id: 'evt-c' }), message({ event_id: 'evt-c' }));
    expect(seen(twice)).toEqual([422, 'validation_failed', '/messages/1/event_id not_unique']);
    // One id of the batch is another message's: the others are free again afterwards.
    const clash = await batch(message({ event_id: 'evt-d' }), message({ event_id: 'evt-b', payload: 0 }));
    expect(seen(clash)).toEqual([422, 'idempotency_key_reused', '/messages/1/event_id used_otherwise']);
    expect((await loggedMessages(log)).length).toBe(before);
    expect((await post(message({ event_id: 'evt-d' }))).status).toBe(202);
  });
});
