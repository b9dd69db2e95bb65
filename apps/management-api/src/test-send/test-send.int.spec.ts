import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Attempt, type Endpoint, type HistoryAttempt, newId } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedDispatch } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// What a dispatcher is asked, and what becomes of its answer. The real one is proven with the dispatcher and end to end.

let bed: TestBed;
let dispatch: ScriptedDispatch;
let tenant: TenantClient;
let made: Endpoint;
let path: string;

const at = Date.parse('2026-01-02T03:04:05.678Z');
const attempt: HistoryAttempt = {
  id: newId('attempt', at),
  delivery: newId('delivery', at),
  number: 1,
  trigger: 'test',
  started_at: at,
  duration_ms: 7.5,
  outcome: 'failed',
  error_class: 'http_status',
  error_message: 'The endpoint answered, but not with a status that acknowledges the message.',
  request_url: 'https://receiver.example/',
  request_headers_json: '{"webhook-test":"true"}',
  response_status: 410,
  response_headers_json: '{}',
  response_body: Buffer.from('gone'),
  response_body_truncated: false,
  address: '192.0.2.1:443',
  timings_json: '{"totalMs":7.5}',
  endpoint_version: 1,
  profile: 'standard',
};

beforeAll(async () => {
  dispatch = new ScriptedDispatch();
  await dispatch.start();
  bed = await startTestBed({ env: { DISPATCH_GRPC: `ipv4:${dispatch.address}` } });
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  await tenant.putAccount('other');
  const body = { url: 'https://receiver.example/', uid: 'main', enabled: false };
  made = (await tenant.rest.post<Endpoint>('/v1/accounts/acme/endpoints', body)).json;
  path = `/v1/endpoints/${made.id}/test`;
}, 60_000);
afterAll(async () => {
  await bed.stop();
  dispatch.stop();
});
beforeEach(() => {
  dispatch.asked.length = 0;
  dispatch.replies['SendTest'] = () => ({ attempt });
});

const bodySent = (): unknown => JSON.parse(String(dispatch.asked[0]?.request['payload']));

describe('a test message', () => {
  it('is sent for an endpoint within reach, disabled or not, and answered with the attempt', async () => {
    const answer = await tenant.rest.post<Attempt>(path, { event_type: 'a.b', payload: { n: [1, null] } });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      id: attempt.id,
      number: 1,
      trigger: 'test',
      started_at: '2026-01-02T03:04:05.678Z',
      duration_ms: 7.5,
      timings: { dns_ms: null, connect_ms: null, tls_ms: null, first_byte_ms: null, total_ms: 7.5 },
      outcome: 'failed',
      error: { class: 'http_status', message: attempt.error_message },
      request: { url: 'https://receiver.example/', headers: { 'webhook-test': 'true' } },
      response: { status: 410, headers: {}, body: 'gone', body_encoding: 'utf-8', body_truncated: false },
      address: '192.0.2.1:443',
      tls: null,
      endpoint_version: 1,
      profile: 'standard',
      next_attempt_at: null,
      requested: null,
      shadow: null,
    });
    const { id } = made;
    expect(dispatch.asked.map(({ request }) => request)).toEqual([
      {
        tenant: tenant.id,
        endpoint: id,
        version: 1,
        event_type: 'a.b',
        payload: Buffer.from('{"n":[1,null]}'),
      },
    ]);
    expect((await tenant.rest.get(`/v1/endpoints/${id}`)).json).toMatchObject(made);
  });

  it('is in the audit log, whatever comes of it', async () => {
    const entries = async (): Promise<unknown[]> => {
      const { rows } = await bed.database.query<{ entry: unknown }>(
        `select entry from config.audit_entry where entry->>'action' = 'endpoint.tested'
           and entry->'entity'->>'id' = $1`,
        [made.id],
      );
      return rows.map(({ entry }) => entry);
    };
    const before = (await entries()).length;
    await tenant.rest.post(path);
    dispatch.replies['SendTest'] = () => {
      throw new Error('away');
    };
    expect(refusalOf(await tenant.rest.post(path))).toEqual([503, 'unavailable']);
    const found = await entries();
    expect(found).toHaveLength(before + 2);
    expect(found.at(-1)).toMatchObject({ actor: tenant.keyId, from: '127.0.0.1', changed: [] });
    await tenant.rest.post(`/v1/endpoints/${newId('endpoint')}/test`);
    expect(await entries()).toHaveLength(before + 2);
  });

  it('says whose account it is to endpoints whose profile shows it', async () => {
    await tenant.rest.put('/v1/accounts/shown', { name: 'Shown Ltd' });
    const { json } = await tenant.rest.post<Endpoint>('/v1/accounts/shown/endpoints', {
      ...{ url: 'https://receiver.example/', profile: 'linkup' },
    });
    await tenant.rest.post(`/v1/endpoints/${json.id}/test`);
    expect(dispatch.asked[0]?.request).toMatchObject({ subject: { uid: 'shown', name: 'Shown Ltd' } });
  });

  it('has the example of its event type, else a small sample', async () => {
    await tenant.rest.post('/v1/event-types', { name: 'invoice.paid', example: { amount: 12 } });
    await tenant.rest.post(path, { event_type: 'invoice.paid' });
    expect(bodySent()).toEqual({ amount: 12 });
    dispatch.asked.length = 0;
    await tenant.rest.post(path);
    expect(dispatch.asked[0]?.request).toMatchObject({ event_type: 'test' });
    expect(bodySent()).toEqual({ type: 'test', timestamp: expect.any(String), data: { test: true } });
    dispatch.asked.length = 0;
    const asks = { url: 'https://receiver.example/', event_types: ['invoice.paid', 'x'] };
    const { json } = await tenant.rest.post<Endpoint>('/v1/accounts/acme/endpoints', asks);
    await tenant.rest.post(`/v1/endpoints/${json.id}/test`, {});
    expect(dispatch.asked[0]?.request).toMatchObject({ event_type: 'invoice.paid' });
    expect(bodySent()).toEqual({ amount: 12 });
    dispatch.asked.length = 0;
    await tenant.rest.post(path, { payload: null });
    expect(bodySent()).toBeNull();
  });

  it('is refused for what is not within reach, or not a test', async () => {
    const other = await bed.api.accountClient(tenant, 'other');
    expect(refusalOf(await other.post(path))).toEqual([404, 'not_found', ':endpoint absent']);
    const unknown = `/v1/endpoints/${newId('endpoint')}/test`;
    expect(refusalOf(await tenant.rest.post(unknown))).toEqual([404, 'not_found', ':endpoint absent']);
    expect(refusalOf(await tenant.rest.post(path, { event_type: 'a..b' }))).toEqual([
      422,
      'validation_failed',
      '/event_type invalid_format',
    ]);
    expect(refusalOf(await tenant.rest.post(path, { url: 'https://other.example' }))).toEqual([
      422,
      'validation_failed',
      '/url unknown_field',
    ]);
    const large = await tenant.rest.post(path, { payload: 'x'.repeat(256 * 1024) });
    expect(refusalOf(large)).toEqual([413, 'payload_too_large', '/payload too_large']);
    expect(dispatch.asked).toEqual([]);
  });

  it('is 429 when there are too many, and 503 while no dispatcher can send it', async () => {
    const refusal = async () => {
      const { status: code, headers, json } = await tenant.rest.post<{ code: string }>(path);
      return [code, json.code, headers.get('retry-after')];
    };
    dispatch.replies['SendTest'] = () => {
      throw Object.assign(new Error('busy'), { code: status.RESOURCE_EXHAUSTED });
    };
    expect(await refusal()).toEqual([429, 'too_many_requests', '1']);
    dispatch.replies['SendTest'] = () => {
      throw Object.assign(new Error('not known here yet'), { code: status.UNAVAILABLE });
    };
    expect(await refusal()).toEqual([503, 'unavailable', '1']);
    dispatch.stop();
    try {
      expect(await refusal()).toEqual([503, 'unavailable', '1']);
    } finally {
      await dispatch.start();
    }
  });
});
