import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { publishLimits } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { recordsOf } from '../proving/logged-messages.js';
import { message, type Post, posting } from '../proving/publishing.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;
let post: Post;
let account: string;

beforeAll(async () => {
  bed = await startTestBed({ replicas: 2 });
  tenant = await bed.api.newTenant('publisher');
  post = posting(bed.api, tenant);
  account = (await tenant.putAccount('acme')).id;
}, 60_000);
afterAll(() => bed.stop());

const createEndpoint = (ref: string, fields: object = {}) =>
  tenant.createEndpoint(ref, { url: 'https://receiver.example/hook', ...fields });

describe('a message', () => {
  it('lies in the log exactly as sent, with the routes it got', async () => {
    const endpoint = (await createEndpoint('acme', { event_types: ['invoice.paid'], channels: ['eu', 'us'] }))
      .id;
    await createEndpoint('acme', { event_types: ['invoice.void'] });
    await createEndpoint('acme', { enabled: false });
    const payload = '{"n":12345678901234567890,"d":1.10,"a":1,"a":2,"u":"\\u00e9", "s" : "ü" }';
    const answer = await post(
      `{"payload": ${payload} ,"event_type":"invoice.paid","channels":["eu"],"tags":["t1","é"]}`,
      { 'x-request-id': 'mine-1' },
    );
    expect(answer).toMatchObject({ status: 202, json: { deliveries: 1 } });
    expect(answer.headers.get('x-request-id')).toBe('mine-1');
    const [record, ...others] = await recordsOf(bed.log, answer.json.id);
    expect(others).toEqual([]);
    expect(record?.payload.toString()).toBe(payload);
    expect(record?.key).toBe(account);
    expect(record?.meta).toEqual({
      v: 1,
      id: expect.stringMatching(/^msg_[0-9A-Za-z]{27}$/),
      tenant: tenant.id,
      subject: { uid: 'acme', name: 'acme' },
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
    const [record] = await recordsOf(bed.log, answer.json.id);
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
    expect(refusalOf(await post(envelope(bytes + 1)))).toEqual([
      413,
      'payload_too_large',
      '/payload too_large',
    ]);
    expect(refusalOf(await post(Buffer.alloc(bytes + 1, 'x'), raw))).toEqual([
      413,
      'payload_too_large',
      'too_large',
    ]);
    expect(refusalOf(await post(Buffer.alloc(publishLimits.bodyBytes + 1, ' ')))).toEqual([
      413,
      'payload_too_large',
      'too_large',
    ]);
  });

  it('goes to more than 500 endpoints in several records under one id', async () => {
    const { id } = await tenant.putAccount('wide');
    const { id: first } = await createEndpoint('wide');
    await bed.database.query(
      `insert into config.endpoint (id, tenant, account, version, config_version, url, secrets)
       select 'ep_' || lpad(n::text, 27, '0'), tenant, account, 1, config_version, url, secrets
         from config.endpoint, generate_series(1, 1000) n where id = $1`,
      [first],
    );
    await bed.database.query('update config.account set config_version = config_version + 1 where id = $1', [
      id,
    ]);
    const answer = await post(message(), {}, { path: '/v1/accounts/wide/messages' });
    expect(answer).toMatchObject({ status: 202, json: { deliveries: 1001 } });
    const records = await recordsOf(bed.log, answer.json.id);
    expect(records.map(({ meta }) => meta.routes.length)).toEqual([500, 500, 1]);
    expect(new Set(records.flatMap(({ meta }) => meta.routes.map((route) => route.endpoint))).size).toBe(
      1001,
    );
    expect(new Set(records.map(({ payload }) => payload.toString()))).toEqual(new Set(['{"n":1}']));
  });
});

describe('a change', () => {
  it('that was answered is seen by the next publish, through either replica', async () => {
    await tenant.rest.put('/v1/accounts/fresh', {});
    const at = { path: '/v1/accounts/fresh/messages' };
    let deliveries = 0;
    for (let round = 0; round < 200; round++) {
      const [changing, publishing] = round % 2 === 0 ? [bed.api, bed.replica] : [bed.replica, bed.api];
      const { json: endpoint } = await changing
        .as(tenant.key)
        .post<{ id: string }>('/v1/accounts/fresh/endpoints', { url: 'https://receiver.example/' });
      const created = await post(message(), {}, { ...at, api: publishing });
      expect(created.json.deliveries).toBe(++deliveries);
      // Every other endpoint goes again, so that both kinds of change are seen.
      if (round % 2 === 0) continue;
      await changing.as(tenant.key).delete(`/v1/endpoints/${endpoint.id}`, { 'if-match': '*' });
      const removed = await post(message(), {}, { ...at, api: publishing });
      expect(removed.json.deliveries).toBe(--deliveries);
    }
  }, 60_000);
});
