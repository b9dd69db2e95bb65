import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiKey, Endpoint, NewApiKey, Tenant } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
}, 60_000);
afterAll(() => bed.stop());

describe('a tenant', () => {
  it('is created, read, changed and listed by the operator', async () => {
    const created = await bed.api.operator.post<Tenant>('/v1/tenants', { name: 'Globex' });
    expect(created.status).toBe(201);
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.headers.get('location')).toBe(`/v1/tenants/${created.json.id}`);
    expect(created.json).toEqual({
      id: expect.stringMatching(/^ten_[0-9A-Za-z]{27}$/),
      name: 'Globex',
      event_type_policy: 'any',
      monitoring_credits: null,
      retention_days: null,
      version: 1,
      created_at: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
      updated_at: created.json.created_at,
    });
    const changed = await bed.api.operator.patch(`/v1/tenants/${created.json.id}`, {
      event_type_policy: 'known',
      retention_days: 7,
    });
    const now = { name: 'Globex', event_type_policy: 'known', retention_days: 7, version: 2 };
    expect(changed.json).toMatchObject(now);
    const read = await bed.api.operator.get(`/v1/tenants/${created.json.id}`);
    expect(read.json).toEqual(changed.json);
    const list = await bed.api.operator.get<{ data: Tenant[] }>('/v1/tenants');
    expect(list.json.data).toContainEqual(changed.json);
  });

  it('takes its accounts, endpoints, keys and data keys with it when it is deleted', async () => {
    const doomed = await bed.api.newTenant('doomed');
    await doomed.rest.put('/v1/accounts/a', {});
    const { json: endpoint } = await doomed.rest.post<Endpoint>('/v1/accounts/a/endpoints', {
      url: 'https://example.com/',
    });
    expect((await bed.api.operator.delete(`/v1/tenants/${doomed.id}`)).status).toBe(204);
    expect(refusalOf(await bed.api.operator.get(`/v1/tenants/${doomed.id}`))).toEqual([
      404,
      'not_found',
      ':tenant absent',
    ]);
    expect(refusalOf(await doomed.rest.get('/v1/accounts'))).toEqual([
      401,
      'unauthenticated',
      'authorization invalid_key',
    ]);
    const { rows } = await bed.database.query<{ deleted: boolean; secrets: unknown; data_keys: unknown }>(
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
    const made = await bed.api.operator.post<NewApiKey>(path, { scope: 'tenant', name: 'second' });
    expect(made.status).toBe(201);
    expect(made.json.key).toMatch(/^ph_tenant_[0-9A-Za-z]{27}_[0-9A-Za-z]{49}$/);
    const { key, ...shown } = made.json;
    expect(shown).toMatchObject({ last4: key.slice(-4), revoked_at: null });
    expect((await bed.api.operator.get(`${path}/${made.json.id}`)).json).toEqual(shown);
    expect((await bed.api.operator.get(path)).bytes.toString()).not.toContain(key);
    expect((await bed.api.as(key).get('/v1/accounts')).status).toBe(200);
    expect((await tenant.rest.get('/v1/accounts')).status).toBe(200);

    expect((await bed.api.operator.delete(`${path}/${made.json.id}`)).status).toBe(204);
    const refused = await bed.api.as(key).get('/v1/accounts');
    expect(refusalOf(refused)).toEqual([401, 'unauthenticated', 'authorization invalid_key']);
    expect(refused.headers.get('www-authenticate')).toBe('Bearer');
    expect((await tenant.rest.get('/v1/accounts')).status).toBe(200);
    expect((await bed.api.operator.get<ApiKey>(`${path}/${made.json.id}`)).json.revoked_at).toEqual(
      expect.any(String),
    );
    expect((await bed.api.operator.delete(`${path}/${made.json.id}`)).status).toBe(204);
  });

  it('expires', async () => {
    const made = await bed.api.operator.post<NewApiKey>(`/v1/tenants/${tenant.id}/keys`, {
      scope: 'tenant',
      expires_at: '2020-01-01T00:00:00.000Z',
    });
    expect((await bed.api.as(made.json.key).get('/v1/accounts')).status).toBe(401);
  });

  it.each([
    ['nothing', undefined],
    ['no scheme', 'ph_tenant_x'],
    ['another scheme', 'Basic abc'],
    ['garbage', 'Bearer %%%'],
    ['a wrong checksum', 'Bearer ph_tenant_000000000000000000000000000_' + '0'.repeat(49)],
  ])('is missed when the header holds %s', async (_, authorization) => {
    const answer = await bed.api
      .as()
      .get('/v1/accounts', authorization === undefined ? {} : { authorization });
    const rule = authorization === undefined ? 'required' : 'invalid_key';
    expect(refusalOf(answer)).toEqual([401, 'unauthenticated', `authorization ${rule}`]);
  });

  it('of a known id with another secret is refused', async () => {
    const forged = tenant.key.slice(0, 40) + [...tenant.key.slice(40)].reverse().join('');
    expect((await bed.api.as(forged).get('/v1/accounts')).status).toBe(401);
  });

  it('of the wrong kind is forbidden', async () => {
    expect(refusalOf(await tenant.rest.get('/v1/tenants'))).toEqual([
      403,
      'forbidden',
      'authorization wrong_key',
    ]);
    expect(refusalOf(await bed.api.operator.get('/v1/accounts'))).toEqual([
      403,
      'forbidden',
      'authorization wrong_key',
    ]);
    await tenant.rest.put('/v1/accounts/k', {});
    const account = await bed.api.accountClient(tenant, 'k');
    expect(refusalOf(await account.get('/v1/accounts'))).toEqual([
      403,
      'forbidden',
      'authorization wrong_key',
    ]);
    expect(refusalOf(await account.put('/v1/accounts/k', {}))).toEqual([
      403,
      'forbidden',
      'authorization wrong_key',
    ]);
    expect((await account.get('/v1/accounts/k')).status).toBe(200);
  });

  it('of an account reaches no other account', async () => {
    await tenant.rest.put('/v1/accounts/mine', {});
    await tenant.rest.put('/v1/accounts/other', {});
    const url = 'https://example.com/';
    const { json: theirs } = await tenant.rest.post<Endpoint>('/v1/accounts/other/endpoints', { url });
    const mine = await bed.api.accountClient(tenant, 'mine');
    expect((await mine.post('/v1/accounts/mine/endpoints', { url })).status).toBe(201);
    expect((await mine.get('/v1/accounts/other')).status).toBe(404);
    expect((await mine.post('/v1/accounts/other/endpoints', { url })).status).toBe(404);
    expect((await mine.get(`/v1/endpoints/${theirs.id}`)).status).toBe(404);
    expect((await mine.get(`/v1/accounts/mine/endpoints/${theirs.id}`)).status).toBe(404);
    expect((await mine.get(`/v1/endpoints/${theirs.id}/secret`)).status).toBe(404);
  });
});
