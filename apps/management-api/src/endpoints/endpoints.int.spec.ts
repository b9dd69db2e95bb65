import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Endpoint } from '@posthaste/contracts';
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

describe('an endpoint', () => {
  const url = 'https://example.com/hooks';

  beforeAll(async () => {
    await tenant.rest.put('/v1/accounts/e', {});
  });

  it('has defaults, and is read by both ways and both names', async () => {
    const created = await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url, uid: 'main' });
    expect(created.status).toBe(201);
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.json).toMatchObject({
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
      rate_limit: null,
      ordering: 'none',
      on_exhausted: 'skip',
      auto_disable: true,
      headers: {},
      shadow_url: null,
      metadata: {},
      version: 1,
    });
    const { id } = created.json;
    for (const path of [
      `/v1/endpoints/${id}`,
      '/v1/endpoints/main',
      `/v1/accounts/e/endpoints/${id}`,
      '/v1/accounts/e/endpoints/main',
      `/v1/accounts/${created.json.account_id}/endpoints/main`,
    ]) {
      const health = { failing_since: null, last_success_at: null, last_failure_at: null };
      expect((await tenant.rest.get(path)).json).toEqual({ ...created.json, health });
    }
    await tenant.rest.put('/v1/accounts/e2', {});
    expect((await tenant.rest.get(`/v1/accounts/e2/endpoints/${id}`)).status).toBe(404);
    expect((await tenant.rest.post('/v1/accounts/e2/endpoints', { url, uid: 'main' })).status).toBe(201);
    expect(refusalOf(await tenant.rest.get('/v1/endpoints/main'))).toEqual([
      409,
      'conflict',
      ':endpoint ambiguous',
    ]);
    const taken = await tenant.rest.post('/v1/accounts/e/endpoints', { url, uid: 'main' });
    expect(refusalOf(taken)).toEqual([409, 'conflict', '/uid taken']);
  });

  it('is changed by a merge patch, and null takes a field back to its default', async () => {
    const { json: made } = await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', {
      url,
      description: 'x',
      timeout_seconds: 5,
      headers: { 'x-a': '1', 'x-b': '2' },
      retry_policy: { preset: 'none' },
    });
    const patched = await tenant.rest.patch(`/v1/endpoints/${made.id}`, {
      headers: { 'x-a': null, 'x-c': '3' },
      timeout_seconds: null,
      retry_policy: { schedule_seconds: [1, 2.5], retry_statuses: [429, '5xx'], jitter: 0.1 },
      event_types: ['invoice.paid'],
      rate_limit: { count: 10, period_seconds: 1 },
      ordering: 'by_key',
      on_exhausted: 'block',
    });
    expect(patched.status).toBe(200);
    expect(patched.json).toMatchObject({
      description: 'x',
      headers: { 'x-b': '2', 'x-c': '3' },
      timeout_seconds: 15,
      retry_policy: { schedule_seconds: [1, 2.5], retry_statuses: [429, '5xx'], jitter: 0.1 },
      event_types: ['invoice.paid'],
      rate_limit: { count: 10, period_seconds: 1 },
      ordering: 'by_key',
      on_exhausted: 'block',
      version: 2,
    });
    expect(
      (await tenant.rest.patch<Endpoint>(`/v1/endpoints/${made.id}`, { description: 'x' })).json.version,
    ).toBe(2);
    expect(
      refusalOf(await tenant.rest.patch(`/v1/endpoints/${made.id}`, { url: 'ftp://example.com' })),
    ).toEqual([422, 'validation_failed', '/url scheme']);
  });

  it('changes only for the version an If-Match names', async () => {
    const { json: made } = await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url });
    const path = `/v1/endpoints/${made.id}`;
    expect((await tenant.rest.patch(path, { description: '2' }, { 'if-match': '"1"' })).status).toBe(200);
    const stale = { 'if-match': '"1"' };
    for (const answer of [
      await tenant.rest.patch(path, { description: '3' }, stale),
      await tenant.rest.delete(path, stale),
      await tenant.rest.post(`${path}/disable`, undefined, stale),
      await tenant.rest.post(`${path}/secret/rotate`, {}, stale),
      await tenant.rest.patch(path, { description: '3' }, { 'if-match': 'W/"2"' }),
    ]) {
      expect(refusalOf(answer)).toEqual([412, 'precondition_failed', 'if-match version_mismatch']);
    }
    expect((await tenant.rest.get(path)).json).toMatchObject({ description: '2', version: 2 });
    expect((await tenant.rest.patch(path, { description: '3' }, { 'if-match': '"7", "2"' })).status).toBe(
      200,
    );
    expect((await tenant.rest.delete(path, { 'if-match': '*' })).status).toBe(204);
    expect((await tenant.rest.get(path)).status).toBe(404);
  });

  it('loses no update when many change it at once', async () => {
    const { json: made } = await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        tenant.rest.patch(`/v1/endpoints/${made.id}`, { metadata: { [`k${i}`]: 'v' } }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    const { json } = await tenant.rest.get<Endpoint>(`/v1/endpoints/${made.id}`);
    expect(json.version).toBe(9);
    expect(Object.keys(json.metadata)).toHaveLength(8);
  });

  it('is disabled and enabled, with a reason', async () => {
    const { json: made } = await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url });
    const disabled = await tenant.rest.post(`/v1/endpoints/${made.id}/disable`);
    expect(disabled.json).toMatchObject({ enabled: false, disabled_reason: 'requested', version: 2 });
    const enabled = await tenant.rest.post(`/v1/endpoints/${made.id}/enable`);
    expect(enabled.json).toMatchObject({ enabled: true, disabled_reason: null, version: 3 });
    expect((await tenant.rest.post<Endpoint>(`/v1/endpoints/${made.id}/enable`)).json.version).toBe(3);
  });

  it('may have a shadow URL, under the same rules as its own', async () => {
    const shadow_url = 'https://shadow.example/copies';
    const { json } = await tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url, shadow_url });
    expect(json).toMatchObject({ url, shadow_url });
    const path = `/v1/endpoints/${json.id}`;
    const moved = await tenant.rest.patch(path, { shadow_url: 'https://SHADOW.example' });
    expect(moved.json).toMatchObject({ shadow_url: 'https://SHADOW.example', version: 2 });
    expect(refusalOf(await tenant.rest.patch(path, { shadow_url: 'https://10.0.0.1/' }))).toEqual([
      422,
      'validation_failed',
      '/shadow_url private_address',
    ]);
    expect((await tenant.rest.patch(path, { shadow_url: null })).json).toMatchObject({ shadow_url: null });
    const refused = { url, shadow_url: 'ftp://shadow.example' };
    expect(refusalOf(await tenant.rest.post('/v1/accounts/e/endpoints', refused))).toEqual([
      422,
      'validation_failed',
      '/shadow_url scheme',
    ]);
  });

  it('may use plain http and a private address only where the policy allows it', async () => {
    const allowed = await tenant.rest.post('/v1/accounts/e/endpoints', { url: 'http://127.0.0.1:9999/x' });
    expect(allowed.status).toBe(201);
    const refused = await tenant.rest.post('/v1/accounts/e/endpoints', { url: 'http://example.com/x' });
    expect(refusalOf(refused)).toEqual([422, 'validation_failed', '/url https_only']);
  });
});
