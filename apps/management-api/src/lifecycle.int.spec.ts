import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@posthaste/local-stack';
import pg from 'pg';
import { type ApiUnderTest, startApi, type TenantUnderTest } from './testing/api-under-test.js';

let folder: string;
let postgres: EmbeddedPostgres;
let database: pg.Client;
let api: ApiUnderTest;
let tenant: TenantUnderTest;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'management-api-'));
  // The server may run as another user than this test.
  chmodSync(folder, 0o755);
  postgres = await startEmbeddedPostgres({ dataDir: path.join(folder, 'pg') });
  api = await startApi(postgres.url);
  database = new pg.Client({ connectionString: postgres.url });
  await database.connect();
  tenant = await api.newTenant('Acme');
}, 60_000);

afterAll(async () => {
  await api?.stop();
  await database?.end();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const problem = (status: number, code: string) => ({
  status,
  headers: expect.objectContaining({}),
  text: expect.any(String),
  body: expect.objectContaining({ status, code, request_id: expect.stringMatching(/^req_/) }),
});

describe('a tenant', () => {
  it('is created, read, changed and listed by the operator', async () => {
    const created = await api.operator.post('/v1/tenants', { name: 'Globex' });
    expect(created.status).toBe(201);
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.headers.get('location')).toBe(`/v1/tenants/${created.body.id}`);
    expect(created.body).toEqual({
      id: expect.stringMatching(/^ten_[0-9A-Za-z]{27}$/),
      name: 'Globex',
      event_type_policy: 'any',
      version: 1,
      created_at: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
      updated_at: created.body.created_at,
    });
    const changed = await api.operator.patch(`/v1/tenants/${created.body.id}`, {
      event_type_policy: 'known',
    });
    expect(changed.body).toMatchObject({ name: 'Globex', event_type_policy: 'known', version: 2 });
    const read = await api.operator.get(`/v1/tenants/${created.body.id}`);
    expect(read.body).toEqual(changed.body);
    const list = await api.operator.get('/v1/tenants');
    expect(list.body.data).toContainEqual(changed.body);
  });

  it('takes its accounts, endpoints, keys and data keys with it when it is deleted', async () => {
    const doomed = await api.newTenant('doomed');
    await doomed.api.put('/v1/accounts/a', {});
    const { body: endpoint } = await doomed.api.post('/v1/accounts/a/endpoints', {
      url: 'https://example.com/',
    });
    expect((await api.operator.delete(`/v1/tenants/${doomed.id}`)).status).toBe(204);
    expect(await api.operator.get(`/v1/tenants/${doomed.id}`)).toEqual(problem(404, 'not_found'));
    expect(await doomed.api.get('/v1/accounts')).toEqual(problem(401, 'unauthenticated'));
    const { rows } = await database.query<{ deleted: boolean; secrets: unknown; data_keys: unknown }>(
      `select e.deleted_at is not null as deleted, e.secrets, t.data_keys
         from config.endpoint e join config.tenant t on t.id = e.tenant where e.id = $1`,
      [endpoint.id],
    );
    expect(rows).toEqual([{ deleted: true, secrets: [], data_keys: [] }]);
  });
});

describe('a key', () => {
  it('is shown once, works at once, and is refused from its revocation on', async () => {
    const path = `/v1/tenants/${tenant.id}/keys`;
    const made = await api.operator.post(path, { scope: 'tenant', name: 'second' });
    expect(made.status).toBe(201);
    expect(made.body.key).toMatch(/^ph_tenant_[0-9A-Za-z]{27}_[0-9A-Za-z]{49}$/);
    const { key, ...shown } = made.body;
    expect(shown).toMatchObject({ last4: key.slice(-4), revoked_at: null });
    expect((await api.operator.get(`${path}/${made.body.id}`)).body).toEqual(shown);
    expect((await api.operator.get(path)).text).not.toContain(key);
    expect((await api.as(key).get('/v1/accounts')).status).toBe(200);
    expect((await tenant.api.get('/v1/accounts')).status).toBe(200);

    expect((await api.operator.delete(`${path}/${made.body.id}`)).status).toBe(204);
    const refused = await api.as(key).get('/v1/accounts');
    expect(refused).toEqual(problem(401, 'unauthenticated'));
    expect(refused.headers.get('www-authenticate')).toBe('Bearer');
    expect((await tenant.api.get('/v1/accounts')).status).toBe(200);
    expect((await api.operator.get(`${path}/${made.body.id}`)).body.revoked_at).toEqual(expect.any(String));
    expect((await api.operator.delete(`${path}/${made.body.id}`)).status).toBe(204);
  });

  it('expires', async () => {
    const made = await api.operator.post(`/v1/tenants/${tenant.id}/keys`, {
      scope: 'tenant',
      expires_at: '2020-01-01T00:00:00.000Z',
    });
    expect((await api.as(made.body.key).get('/v1/accounts')).status).toBe(401);
  });

  it.each([
    ['nothing', undefined],
    ['no scheme', 'ph_tenant_x'],
    ['another scheme', 'Basic abc'],
    ['garbage', 'Bearer %%%'],
    ['a wrong checksum', 'Bearer ph_tenant_000000000000000000000000000_' + '0'.repeat(49)],
  ])('is missed when the header holds %s', async (_, authorization) => {
    const answer = await api.as('').get('/v1/accounts', authorization === undefined ? {} : { authorization });
    expect(answer).toEqual(problem(401, 'unauthenticated'));
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('of a known id with another secret is refused', async () => {
    const forged = tenant.key.slice(0, 40) + [...tenant.key.slice(40)].reverse().join('');
    expect((await api.as(forged).get('/v1/accounts')).status).toBe(401);
  });

  it('of the wrong kind is forbidden', async () => {
    expect(await tenant.api.get('/v1/tenants')).toEqual(problem(403, 'forbidden'));
    expect(await api.operator.get('/v1/accounts')).toEqual(problem(403, 'forbidden'));
    await tenant.api.put('/v1/accounts/k', {});
    const account = await tenant.accountApi('k');
    expect(await account.get('/v1/accounts')).toEqual(problem(403, 'forbidden'));
    expect(await account.put('/v1/accounts/k', {})).toEqual(problem(403, 'forbidden'));
    expect((await account.get('/v1/accounts/k')).status).toBe(200);
  });

  it('of an account reaches no other account', async () => {
    await tenant.api.put('/v1/accounts/mine', {});
    await tenant.api.put('/v1/accounts/other', {});
    const url = 'https://example.com/';
    const { body: theirs } = await tenant.api.post('/v1/accounts/other/endpoints', { url });
    const mine = await tenant.accountApi('mine');
    expect((await mine.post('/v1/accounts/mine/endpoints', { url })).status).toBe(201);
    expect((await mine.get('/v1/accounts/other')).status).toBe(404);
    expect((await mine.post('/v1/accounts/other/endpoints', { url })).status).toBe(404);
    expect((await mine.get(`/v1/endpoints/${theirs.id}`)).status).toBe(404);
    expect((await mine.get(`/v1/accounts/mine/endpoints/${theirs.id}`)).status).toBe(404);
    expect((await mine.get(`/v1/endpoints/${theirs.id}/secret`)).status).toBe(404);
  });
});

describe('an account', () => {
  it('is put, replaced, patched, listed and deleted; repeating a request changes nothing', async () => {
    const created = await tenant.api.put('/v1/accounts/a:1', { name: 'One', metadata: { plan: 'pro' } });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({ uid: 'a:1', name: 'One', metadata: { plan: 'pro' }, version: 1 });
    const again = await tenant.api.put('/v1/accounts/a:1', { metadata: { plan: 'pro' }, name: 'One' });
    expect(again.status).toBe(200);
    expect(again.headers.get('etag')).toBe('"1"');
    const patched = await tenant.api.patch(`/v1/accounts/${created.body.id}`, {
      metadata: { plan: null, seats: '3' },
    });
    expect(patched.body).toMatchObject({ name: 'One', metadata: { seats: '3' }, version: 2 });
    const replaced = await tenant.api.put(`/v1/accounts/${created.body.id}`, {});
    expect(replaced.body).toMatchObject({ uid: 'a:1', name: '', metadata: {}, version: 3 });
    expect((await tenant.api.delete('/v1/accounts/a:1')).status).toBe(204);
    expect(await tenant.api.get('/v1/accounts/a:1')).toEqual(problem(404, 'not_found'));
    expect((await tenant.api.put('/v1/accounts/a:1', {})).status).toBe(201);
  });

  it('is created once when many put it at the same moment', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => tenant.api.put('/v1/accounts/rush', { name: 'r' })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  });

  it('is not created under an id of ours', async () => {
    expect((await tenant.api.put(`/v1/accounts/acc_${'0'.repeat(27)}`, {})).status).toBe(404);
  });
});

describe('an endpoint', () => {
  const url = 'https://example.com/hooks';

  beforeAll(async () => {
    await tenant.api.put('/v1/accounts/e', {});
  });

  it('has defaults, and is read by both ways and both names', async () => {
    const created = await tenant.api.post('/v1/accounts/e/endpoints', { url, uid: 'main' });
    expect(created.status).toBe(201);
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.body).toMatchObject({
      id: expect.stringMatching(/^ep_/),
      uid: 'main',
      url,
      description: '',
      event_types: [],
      channels: [],
      enabled: true,
      disabled_reason: null,
      mode: 'push',
      profile: 'standard',
      retry_policy: { preset: 'ada' },
      timeout_seconds: 15,
      headers: {},
      metadata: {},
      version: 1,
    });
    const { id } = created.body;
    for (const path of [
      `/v1/endpoints/${id}`,
      '/v1/endpoints/main',
      `/v1/accounts/e/endpoints/${id}`,
      '/v1/accounts/e/endpoints/main',
      `/v1/accounts/${created.body.account_id}/endpoints/main`,
    ]) {
      expect((await tenant.api.get(path)).body).toEqual(created.body);
    }
    await tenant.api.put('/v1/accounts/e2', {});
    expect((await tenant.api.get(`/v1/accounts/e2/endpoints/${id}`)).status).toBe(404);
    expect((await tenant.api.post('/v1/accounts/e2/endpoints', { url, uid: 'main' })).status).toBe(201);
    expect(await tenant.api.get('/v1/endpoints/main')).toEqual(problem(409, 'conflict'));
    const taken = await tenant.api.post('/v1/accounts/e/endpoints', { url, uid: 'main' });
    expect(taken).toEqual(problem(409, 'conflict'));
  });

  it('is changed by a merge patch, and null takes a field back to its default', async () => {
    const { body: made } = await tenant.api.post('/v1/accounts/e/endpoints', {
      url,
      description: 'x',
      timeout_seconds: 5,
      headers: { 'x-a': '1', 'x-b': '2' },
      retry_policy: { preset: 'none' },
    });
    const patched = await tenant.api.patch(`/v1/endpoints/${made.id}`, {
      headers: { 'x-a': null, 'x-c': '3' },
      timeout_seconds: null,
      retry_policy: { schedule_seconds: [1, 2.5] },
      event_types: ['invoice.paid'],
    });
    expect(patched.status).toBe(200);
    expect(patched.body).toMatchObject({
      description: 'x',
      headers: { 'x-b': '2', 'x-c': '3' },
      timeout_seconds: 15,
      retry_policy: { schedule_seconds: [1, 2.5] },
      event_types: ['invoice.paid'],
      version: 2,
    });
    expect((await tenant.api.patch(`/v1/endpoints/${made.id}`, { description: 'x' })).body.version).toBe(2);
    expect(await tenant.api.patch(`/v1/endpoints/${made.id}`, { url: 'ftp://example.com' })).toEqual(
      problem(422, 'validation_failed'),
    );
  });

  it('changes only for the version an If-Match names', async () => {
    const { body: made } = await tenant.api.post('/v1/accounts/e/endpoints', { url });
    const path = `/v1/endpoints/${made.id}`;
    expect((await tenant.api.patch(path, { description: '2' }, { 'if-match': '"1"' })).status).toBe(200);
    const stale = { 'if-match': '"1"' };
    for (const answer of [
      await tenant.api.patch(path, { description: '3' }, stale),
      await tenant.api.delete(path, stale),
      await tenant.api.post(`${path}/disable`, undefined, stale),
      await tenant.api.post(`${path}/secret/rotate`, {}, stale),
      await tenant.api.patch(path, { description: '3' }, { 'if-match': 'W/"2"' }),
    ]) {
      expect(answer).toEqual(problem(412, 'precondition_failed'));
    }
    expect((await tenant.api.get(path)).body).toMatchObject({ description: '2', version: 2 });
    expect((await tenant.api.patch(path, { description: '3' }, { 'if-match': '"7", "2"' })).status).toBe(200);
    expect((await tenant.api.delete(path, { 'if-match': '*' })).status).toBe(204);
    expect((await tenant.api.get(path)).status).toBe(404);
  });

  it('loses no update when many change it at once', async () => {
    const { body: made } = await tenant.api.post('/v1/accounts/e/endpoints', { url });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        tenant.api.patch(`/v1/endpoints/${made.id}`, { metadata: { [`k${i}`]: 'v' } }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    const { body } = await tenant.api.get(`/v1/endpoints/${made.id}`);
    expect(body.version).toBe(9);
    expect(Object.keys(body.metadata)).toHaveLength(8);
  });

  it('is disabled and enabled, with a reason', async () => {
    const { body: made } = await tenant.api.post('/v1/accounts/e/endpoints', { url });
    const disabled = await tenant.api.post(`/v1/endpoints/${made.id}/disable`);
    expect(disabled.body).toMatchObject({ enabled: false, disabled_reason: 'requested', version: 2 });
    const enabled = await tenant.api.post(`/v1/endpoints/${made.id}/enable`);
    expect(enabled.body).toMatchObject({ enabled: true, disabled_reason: null, version: 3 });
    expect((await tenant.api.post(`/v1/endpoints/${made.id}/enable`)).body.version).toBe(3);
  });

  it('keeps its own secret or gets one, shows it, and rotates it with an overlap', async () => {
    const own = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
    const { body: made } = await tenant.api.post('/v1/accounts/e/endpoints', { url, secret: own });
    expect(JSON.stringify(made)).not.toContain('whsec_');
    const path = `/v1/endpoints/${made.id}`;
    expect((await tenant.api.get(`${path}/secret`)).body).toEqual({ key: own });
    const rotated = await tenant.api.post(`${path}/secret/rotate`);
    expect([rotated.status, rotated.headers.get('etag'), rotated.text]).toEqual([204, '"2"', '']);
    const { body: fresh } = await tenant.api.get(`${path}/secret`);
    expect(fresh.key).toMatch(/^whsec_/);
    expect(fresh.key).not.toBe(own);
    expect(await liveSecrets(made.id)).toEqual([null, expect.any(Number)]);
    await tenant.api.post(`${path}/secret/rotate`, { overlap_seconds: 0, key: own });
    expect(await liveSecrets(made.id)).toEqual([null]);
    expect((await tenant.api.get(`${path}/secret`)).body).toEqual({ key: own });
    const { rows } = await database.query<{ action: string }>(
      `select entry->>'action' as action from config.audit_entry where entry->'entity'->>'id' = $1`,
      [made.id],
    );
    expect(rows.filter(({ action }) => action === 'endpoint.secret_read')).toHaveLength(3);
    const everything = await database.query<{ state: string }>(
      'select state::text from config.entity_version',
    );
    expect(everything.rows.map(({ state }) => state).join()).not.toContain('whsec_');
  });

  async function liveSecrets(id: string): Promise<(number | null)[]> {
    const { rows } = await database.query<{ secrets: { expiresAt: number | null }[] }>(
      'select secrets from config.endpoint where id = $1',
      [id],
    );
    return rows[0]?.secrets.map(({ expiresAt }) => expiresAt) ?? [];
  }

  it('may use plain http and a private address only where the policy allows it', async () => {
    const allowed = await tenant.api.post('/v1/accounts/e/endpoints', { url: 'http://127.0.0.1:9999/x' });
    expect(allowed.status).toBe(201);
    const refused = await tenant.api.post('/v1/accounts/e/endpoints', { url: 'http://example.com/x' });
    expect(refused.body.errors).toEqual([
      { pointer: '/url', code: 'https_only', message: expect.any(String) },
    ]);
  });
});

describe('an event type', () => {
  it('is created, read, patched, archived and deleted by its name', async () => {
    const created = await tenant.api.post('/v1/event-types', {
      name: 'invoice.paid',
      schema: { type: 'object' },
      example: { amount: 1 },
      group: 'billing',
    });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({
      schema: { type: 'object' },
      example: { amount: 1 },
      archived: false,
    });
    expect((await tenant.api.post('/v1/event-types', { name: 'invoice.paid' })).status).toBe(409);
    const patched = await tenant.api.patch('/v1/event-types/invoice.paid', {
      schema: null,
      example: [1],
      archived: true,
    });
    expect(patched.body).toMatchObject({
      schema: null,
      example: [1],
      group: 'billing',
      archived: true,
      version: 2,
    });
    expect((await tenant.api.get('/v1/event-types')).body.data).toContainEqual(patched.body);
    expect((await tenant.api.delete('/v1/event-types/invoice.paid', { 'if-match': '"1"' })).status).toBe(412);
    expect((await tenant.api.delete('/v1/event-types/invoice.paid')).status).toBe(204);
    expect((await tenant.api.get('/v1/event-types/invoice.paid')).status).toBe(404);
    expect((await tenant.api.post('/v1/event-types', { name: 'invoice.paid' })).status).toBe(201);
  });
});
