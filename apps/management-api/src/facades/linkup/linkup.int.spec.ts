import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Endpoint } from '@posthaste/contracts';
import type { RestAnswer, RestClient, TenantClient } from '@posthaste/test-kit';
import { startTestBed, type TestBed } from '../../proving/test-bed.js';

// A program written for LinkUp, line by line of what LinkUp's documents promise it. What needs events is in
// apps/e2e/src/linkup.e2e.spec.ts.

let bed: TestBed;
let tenant: TenantClient;
let stranger: TenantClient;
/** Sends no key by itself. */
let http: RestClient;
/** What stands in the tables for it. */
const known: Record<string, string> = { unknown: '0123456789abcdef01234567' };

const HOOKS = 'https://hooks.example.com/linkup';

interface Answer {
  success: boolean;
  data: Record<string, unknown>;
  error?: { code: string; message: string };
  metadata: { action: string; credits_consumed: number; timestamp: string };
}

beforeAll(async () => {
  bed = await startTestBed();
  http = bed.api.as();
  [tenant, stranger] = await Promise.all([bed.api.newTenant('Acme'), bed.api.newTenant('Stranger')]);
  for (const uid of ['ada', 'bob', 'eve']) known[`${uid}Id`] = (await tenant.putAccount(uid)).id;
  await stranger.putAccount('theirs');
  known['hosted'] = await made({ account_id: 'ada' });
  known['custom'] = await made({ account_id: 'ada', url: HOOKS });
  known['signed'] = await made({ account_id: 'ada', url: HOOKS, enable_signature: true });
  known['theirs'] = await made({ account_id: 'theirs' }, stranger.key);
  const native = { url: HOOKS, uid: 'native', profile: 'linkup' };
  await tenant.rest.ask('POST', '/v1/accounts/bob/endpoints', { body: native });
}, 60_000);
afterAll(() => bed.stop());

/** `{name}` in a path is what is known by that name. */
async function call(
  line: string,
  body?: unknown,
  headers: Record<string, string> = { 'x-api-key': tenant.key },
): Promise<RestAnswer<Answer>> {
  const [method = '', path = ''] = line.split(' ');
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => known[name] ?? name);
  return http.send(method, `/v2/webhooks${filled}`, { headers, ...(body === undefined ? {} : { body }) });
}

async function made(body: object, key = tenant.key): Promise<string> {
  return String((await call('POST', body, { 'x-api-key': key })).json.data['webhook_id']);
}

async function endpointBehind(webhook: string): Promise<Endpoint> {
  return tenant.rest.ask('GET', `/v1/endpoints/${known[webhook] ?? webhook}`);
}

const ID = expect.stringMatching(/^[0-9a-f]{24}$/) as unknown;
const SECRET = expect.stringMatching(/^[\x21-\x7e]{32,}$/) as unknown;
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown;

/** Exactly: no field more, none less. */
function expectAnswer({ status, headers, json }: RestAnswer<Answer>, action: string, data: unknown): void {
  expect({ status, json }).toEqual({
    status: 200,
    json: { success: true, data, metadata: { action, credits_consumed: 0, timestamp: TIME } },
  });
  expect(headers.get('content-type')).toMatch(/^application\/json/);
}

function expectError(
  { status, headers, json }: RestAnswer<Answer>,
  refusal: { status: number; code: string; message?: RegExp; action?: string },
): void {
  const { message = /./, action } = refusal;
  expect({ status, json }).toEqual({
    status: refusal.status,
    json: {
      success: false,
      error: { code: refusal.code, message: expect.stringMatching(message) as unknown },
      metadata: { action: action ?? (expect.any(String) as unknown), credits_consumed: 0, timestamp: TIME },
    },
  });
  expect(headers.get('content-type')).toMatch(/^application\/json/);
}

const hostedView = {
  webhook_id: ID,
  account_id: 'ada',
  mode: 'hosted',
  stream_url: expect.stringMatching(/^\/v2\/webhooks\/[0-9a-f]{24}\/stream$/) as unknown,
  events_url: expect.stringMatching(/^\/v2\/webhooks\/[0-9a-f]{24}\/events$/) as unknown,
  events: ['all'],
  is_active: true,
};
const customView = { ...hostedView, mode: 'custom', stream_url: null, events_url: null };
const more = { retry: true, signature_enabled: false, created_at: TIME, updated_at: TIME };

describe('POST /v2/webhooks', () => {
  it.each<[string, object, object]>([
    ['without url: hosted, with relative URLs of its stream and its events', {}, hostedView],
    ['url null is url absent', { url: null }, hostedView],
    ['with url: custom', { url: HOOKS }, customView],
    ['events default to all', { url: HOOKS, events: ['all'] }, customView],
    ['all beside others is all', { events: ['message_received', 'all'] }, hostedView],
    ['events filter', { events: ['message_received'] }, { ...hostedView, events: ['message_received'] }],
    [
      'events named twice are one',
      { events: ['message_received', 'accepted_invitation', 'message_received'] },
      { ...hostedView, events: ['message_received', 'accepted_invitation'] },
    ],
    ['disconnection alone', { events: ['disconnection'] }, { ...hostedView, events: ['disconnection'] }],
    [
      'disconnection asked for is shown',
      { events: ['disconnection', 'message_received'] },
      { ...hostedView, events: ['message_received', 'disconnection'] },
    ],
    ['retry', { url: HOOKS, retry: false }, customView],
    ['no signature by default', { url: HOOKS, enable_signature: false }, customView],
    [
      'enable_signature: the secret, once',
      { url: HOOKS, enable_signature: true },
      { ...customView, secret: SECRET },
    ],
    ['our own id of the account will do', { account_id: '{adaId}' }, hostedView],
    ['fields there are not are ignored', { colour: 'red', webhook_id: 'x', mode: 'custom' }, hostedView],
  ])('%s', async (_, fields, data) => {
    const { account_id = 'ada' } = fields as { account_id?: string };
    const body = { ...fields, account_id: account_id === '{adaId}' ? known['adaId'] : account_id };
    expectAnswer(await call('POST', body), 'create_webhook', data);
  });

  it.each<[string, unknown, number, string, RegExp]>([
    ['an account there is not', { account_id: 'nobody' }, 404, 'INVALID_ACCOUNT', /account/],
    ["a stranger's account", { account_id: 'theirs' }, 404, 'INVALID_ACCOUNT', /account/],
    ['no account_id', { url: HOOKS }, 400, 'INVALID_PARAMS', /^account_id /],
    ['an account_id that is a number', { account_id: 7 }, 400, 'INVALID_PARAMS', /^account_id /],
    ['a url that is none', { account_id: 'ada', url: 'here' }, 400, 'INVALID_PARAMS', /^url /],
    ['an empty url', { account_id: 'ada', url: '' }, 400, 'INVALID_PARAMS', /^url /],
    [
      'a url of another scheme',
      { account_id: 'ada', url: 'ftp://a.example/' },
      400,
      'INVALID_PARAMS',
      /^url /,
    ],
    [
      'a url that must not be called',
      { account_id: 'ada', url: 'https://10.0.0.1/' },
      400,
      'INVALID_PARAMS',
      /^url /,
    ],
    ['events that are no list', { account_id: 'ada', events: 'all' }, 400, 'INVALID_PARAMS', /^events /],
    ['no event at all', { account_id: 'ada', events: [] }, 400, 'INVALID_PARAMS', /^events /],
    [
      'an event that is no name',
      { account_id: 'ada', events: ['all', ' '] },
      400,
      'INVALID_PARAMS',
      /^events\.1 /,
    ],
    ['retry that is no boolean', { account_id: 'ada', retry: 'no' }, 400, 'INVALID_PARAMS', /^retry /],
    [
      'a signature on a hosted webhook',
      { account_id: 'ada', enable_signature: true },
      400,
      'INVALID_PARAMS',
      /^enable_signature /,
    ],
    ['no body', undefined, 400, 'INVALID_PARAMS', /^The body /],
    ['a list', [], 400, 'INVALID_PARAMS', /^The body /],
    ['half a body', '{"account_id":', 400, 'INVALID_PARAMS', /./],
  ])('refuses %s', async (_, body, status, code, message) => {
    expectError(await call('POST', body), { status, code, message, action: 'create_webhook' });
  });

  it('reads both content types of JSON', async () => {
    for (const type of ['application/json', 'application/json; charset=utf-8']) {
      const headers = { 'x-api-key': tenant.key, 'content-type': type };
      expectAnswer(await call('POST', { account_id: 'ada' }, headers), 'create_webhook', hostedView);
    }
  });

  it('retries failed deliveries on the default schedule unless told otherwise', async () => {
    const retried = await endpointBehind(await made({ account_id: 'ada', url: HOOKS }));
    expect(retried).toMatchObject({ profile: 'linkup', retry_policy: { preset: 'ada' }, enabled: true });
    const once = await endpointBehind(await made({ account_id: 'ada', url: HOOKS, retry: false }));
    expect(once.retry_policy).toEqual({ preset: 'none' });
  });
});

describe('GET /v2/webhooks', () => {
  it('answers all of the key, with signature_enabled and without any secret', async () => {
    const { json, bytes } = await call('GET');
    const items = json.data['items'] as Record<string, unknown>[];
    const byId = new Map(items.map((item) => [item['webhook_id'], item]));
    expect(byId.get(known['hosted'])).toEqual({ ...hostedView, ...more, url: null });
    expect(byId.get(known['custom'])).toEqual({ ...customView, ...more, url: HOOKS });
    expect(byId.get(known['signed'])).toEqual({
      ...customView,
      ...more,
      url: HOOKS,
      signature_enabled: true,
    });
    expect(byId.has(known['theirs'])).toBe(false);
    expect(byId.has('native')).toBe(false);
    expect(bytes.toString()).not.toContain('secret');
    expect(json.metadata).toEqual({ action: 'list_webhooks', credits_consumed: 0, timestamp: TIME });
    expectAnswer(await call('GET', undefined, { 'x-api-key': stranger.key }), 'list_webhooks', {
      items: [expect.objectContaining({ webhook_id: known['theirs'], account_id: 'theirs' })],
    });
  });

  it('answers one', async () => {
    expectAnswer(await call('GET /{hosted}'), 'get_webhook', { ...hostedView, ...more, url: null });
    expectAnswer(await call('GET /{signed}'), 'get_webhook', {
      ...customView,
      ...more,
      url: HOOKS,
      signature_enabled: true,
    });
  });

  it('answers an account key its own account only', async () => {
    const key = (await bed.api.accountClient(tenant, 'bob')).key ?? '';
    const own = await made({ account_id: 'bob' }, key);
    const { json } = await call('GET', undefined, { 'x-api-key': key });
    expect(json.data['items']).toMatchObject([{ webhook_id: own, account_id: 'bob' }]);
    const refusal = { status: 404, code: 'INVALID_ACCOUNT' };
    expectError(await call('GET /{hosted}', undefined, { 'x-api-key': key }), refusal);
    expectError(await call('POST', { account_id: 'ada' }, { 'x-api-key': key }), refusal);
  });
});

describe.each(['PUT', 'PATCH'])('%s /v2/webhooks/{id}', (method) => {
  it.each<[string, object, object, object]>([
    ['nothing changes nothing', { url: HOOKS }, {}, { ...customView, url: HOOKS }],
    ['url', { url: HOOKS }, { url: `${HOOKS}/2` }, { ...customView, url: `${HOOKS}/2` }],
    [
      'events',
      { events: ['message_received'] },
      { events: ['accepted_invitation'] },
      { ...hostedView, url: null, events: ['accepted_invitation'] },
    ],
    [
      'events back to all',
      { events: ['message_received'] },
      { events: ['all'] },
      { ...hostedView, url: null },
    ],
    ['retry', { url: HOOKS }, { retry: false }, { ...customView, url: HOOKS, retry: false }],
    ['retry again', { url: HOOKS, retry: false }, { retry: true }, { ...customView, url: HOOKS }],
    ['is_active', {}, { is_active: false }, { ...hostedView, url: null, is_active: false }],
    ['null is absent', { url: HOOKS }, { url: null, retry: null }, { ...customView, url: HOOKS }],
    ['other fields are ignored', { url: HOOKS }, { mode: 'hosted', x: 1 }, { ...customView, url: HOOKS }],
  ])('%s', async (_, before, change, after) => {
    const id = await made({ account_id: 'ada', ...before });
    const { version } = await endpointBehind(id);
    expectAnswer(await call(`${method} /${id}`, change), 'update_webhook', { ...more, ...after });
    expectAnswer(await call(`GET /${id}`), 'get_webhook', { ...more, ...after });
    if (Object.keys(change).length === 0) expect((await endpointBehind(id)).version).toBe(version);
  });

  it.each<[string, string, unknown, number, string, RegExp]>([
    ['a url for a hosted webhook', '{hosted}', { url: HOOKS }, 400, 'INVALID_PARAMS', /^url /],
    ['a url that is none', '{custom}', { url: 'x' }, 400, 'INVALID_PARAMS', /^url /],
    ['is_active that is no boolean', '{custom}', { is_active: 1 }, 400, 'INVALID_PARAMS', /^is_active /],
    ['no body', '{custom}', undefined, 400, 'INVALID_PARAMS', /^The body /],
    ['a webhook there is not', '{unknown}', {}, 404, 'INVALID_ACCOUNT', /webhook/],
    ["a stranger's webhook", '{theirs}', {}, 404, 'INVALID_ACCOUNT', /webhook/],
  ])('refuses %s', async (_, id, body, status, code, message) => {
    const refusal = { status, code, message, action: 'update_webhook' };
    expectError(await call(`${method} /${id}`, body), refusal);
  });
});

it('DELETE /v2/webhooks/{id} takes it away', async () => {
  const id = await made({ account_id: 'ada' });
  expectAnswer(await call(`DELETE /${id}`), 'delete_webhook', { webhook_id: id, deleted: true });
  for (const line of [`DELETE /${id}`, `GET /${id}`, `POST /${id}/start`]) {
    expectError(await call(line), { status: 404, code: 'INVALID_ACCOUNT' });
  }
});

describe('POST /v2/webhooks/{id}/start and /stop', () => {
  it.each<[string, unknown, Record<string, string>]>([
    ['no body', undefined, {}],
    ['an empty body of JSON', '', { 'content-type': 'application/json' }],
    ['a body nobody reads', {}, {}],
  ])('with %s, keeping what is configured', async (_, body, headers) => {
    const given = { account_id: 'ada', url: HOOKS, events: ['message_received'], retry: false };
    const id = await made(given);
    const send = (line: string) => call(line, body, { 'x-api-key': tenant.key, ...headers });
    const stopped = { webhook_id: id, account_id: 'ada', monitoring: false };
    // Again changes nothing.
    for (let time = 1; time <= 2; time++) {
      expectAnswer(await send(`POST /${id}/stop`), 'stop_webhook', stopped);
    }
    const view = { ...customView, ...more, url: HOOKS, events: ['message_received'], retry: false };
    expectAnswer(await call(`GET /${id}`), 'get_webhook', { ...view, is_active: false });
    for (let time = 1; time <= 2; time++) {
      expectAnswer(await send(`POST /${id}/start`), 'start_webhook', { ...stopped, monitoring: true });
    }
    expectAnswer(await call(`GET /${id}`), 'get_webhook', view);
    expect((await endpointBehind(id)).version).toBe(3);
  });

  it('a stopped webhook gets nothing, the others of its account go on', async () => {
    const [one] = [await made({ account_id: 'eve' }), await made({ account_id: 'eve' })];
    const routes = async () => (await tenant.publish('eve', 'message_received', {})).deliveries;
    expect(await routes()).toBe(2);
    await call(`POST /${one}/stop`);
    expect(await routes()).toBe(1);
    await call(`POST /${one}/start`);
    expect(await routes()).toBe(2);
  });
});

it('disconnection reaches every webhook, whatever its filter, and only what was asked for is shown', async () => {
  await tenant.putAccount('filtered');
  const id = await made({ account_id: 'filtered', events: ['message_received'] });
  const routes = async (type: string) => (await tenant.publish('filtered', type, {})).deliveries;
  expect(await routes('disconnection')).toBe(1);
  expect(await routes('message_received')).toBe(1);
  expect(await routes('accepted_invitation')).toBe(0);
  expect((await call(`GET /${id}`)).json.data['events']).toEqual(['message_received']);
});

describe('a signature', () => {
  it('of rotate-secret is new each time, shown once, and the old secret dies at once', async () => {
    const { json } = await call('POST', { account_id: 'ada', url: HOOKS, enable_signature: true });
    const { webhook_id: id, secret: first } = json.data as { webhook_id: string; secret: string };
    const revealed = () => tenant.secretOf(id);
    expect(await revealed()).toBe(first);
    const rotated = await call(`POST /${id}/rotate-secret`);
    const data = {
      webhook_id: id,
      secret: SECRET,
      signature_scheme: expect.stringContaining('v1=') as unknown,
    };
    expectAnswer(rotated, 'rotate_webhook_secret', data);
    expect(rotated.headers.get('cache-control')).toBe('no-store');
    expect(rotated.json.data['secret']).not.toBe(first);
    expect(await revealed()).toBe(rotated.json.data['secret']);
    const { secrets } = await tenant.rest.ask<{ secrets: unknown[] }>('GET', `/v1/endpoints/${id}/secret`);
    expect(secrets).toHaveLength(1);
  });

  it('is switched off by deleting the secret, and on again by rotating', async () => {
    const id = await made({ account_id: 'ada', url: HOOKS, enable_signature: true });
    const enabled = async () => (await call(`GET /${id}`)).json.data['signature_enabled'];
    expect(await enabled()).toBe(true);
    for (let time = 1; time <= 2; time++) {
      const data = { webhook_id: id, signature_enabled: false };
      expectAnswer(await call(`DELETE /${id}/secret`), 'delete_webhook_secret', data);
    }
    expect(await enabled()).toBe(false);
    expect((await call(`POST /${id}/rotate-secret`)).status).toBe(200);
    expect(await enabled()).toBe(true);
  });

  it('is not for hosted webhooks', async () => {
    expectError(await call('POST /{hosted}/rotate-secret'), {
      status: 400,
      code: 'INVALID_PARAMS',
      action: 'rotate_webhook_secret',
    });
  });
});

/** Every call, once. */
const calls: [string, string][] = [
  ['POST', 'create_webhook'],
  ['GET', 'list_webhooks'],
  ['GET /{hosted}', 'get_webhook'],
  ['PUT /{hosted}', 'update_webhook'],
  ['PATCH /{hosted}', 'update_webhook'],
  ['DELETE /{hosted}', 'delete_webhook'],
  ['POST /{hosted}/start', 'start_webhook'],
  ['POST /{hosted}/stop', 'stop_webhook'],
  ['POST /{hosted}/rotate-secret', 'rotate_webhook_secret'],
  ['DELETE /{hosted}/secret', 'delete_webhook_secret'],
];

describe.each(calls)('%s', (line, action) => {
  const refused = { status: 403, code: 'INVALID_API_KEY', action };

  it.each<[string, () => Record<string, string>]>([
    ['no key', () => ({})],
    ['an unknown key', () => ({ 'x-api-key': 'nonsense' })],
    ['an empty key', () => ({ 'x-api-key': '' })],
    ['the key in another header', () => ({ authorization: `Bearer ${tenant.key}` })],
    ["the operator's key", () => ({ 'x-api-key': bed.api.operator.key ?? '' })],
  ])('answers 403 to %s', async (_, headers) => {
    expectError(await call(line, undefined, headers()), refused);
  });

  it('answers 403 to the key in the query, where logs would keep it', async () => {
    expectError(
      await call(`${line.includes(' ') ? line : `${line} `}?api_key=${tenant.key}`, undefined, {}),
      refused,
    );
  });

  it('answers 404 to a foreign, an unknown and an impossible id', async () => {
    if (!line.includes('{hosted}')) return;
    for (const id of ['{theirs}', '{unknown}', 'native', 'x', '%00', 'a'.repeat(500)]) {
      const body = /^(PUT|PATCH)/.test(line) ? {} : undefined;
      const answer = await call(line.replace('{hosted}', id), body);
      expectError(answer, { status: 404, code: 'INVALID_ACCOUNT', action });
    }
  });
});

it('a revoked key opens nothing', async () => {
  const body = { name: 'b', scope: 'tenant' };
  const path = `/v1/tenants/${tenant.id}/keys`;
  const { id, key } = await bed.api.operator.ask<{ id: string; key: string }>('POST', path, { body });
  expect((await call('GET', undefined, { 'x-api-key': key })).status).toBe(200);
  await bed.api.operator.ask('DELETE', `${path}/${id}`);
  expectError(await call('GET', undefined, { 'x-api-key': key }), { status: 403, code: 'INVALID_API_KEY' });
});

describe('a hostile request', () => {
  it.each<[string, string, unknown, Record<string, string>, number, string]>([
    ['another method', 'DELETE', undefined, {}, 400, 'INVALID_ACTION'],
    ['another method of one', 'POST /{hosted}', {}, {}, 400, 'INVALID_ACTION'],
    ['another method of start', 'GET /{hosted}/start', undefined, {}, 400, 'INVALID_ACTION'],
    ['a path nobody serves', 'POST /{hosted}/pause', {}, {}, 400, 'INVALID_ACTION'],
    ['a deeper path', 'GET /{hosted}/events/1', undefined, {}, 400, 'INVALID_ACTION'],
    ['an empty part', 'GET //events', undefined, {}, 400, 'INVALID_ACTION'],
    ['what is no escape', 'GET /%zz', undefined, {}, 400, 'INVALID_PARAMS'],
    ['what is no UTF-8', 'GET /%ff', undefined, {}, 400, 'INVALID_PARAMS'],
    [
      'another content type',
      'POST',
      'a=1',
      { 'content-type': 'application/x-www-form-urlencoded' },
      400,
      'INVALID_PARAMS',
    ],
    [
      'another charset',
      'POST',
      '{}',
      { 'content-type': 'application/json; charset=latin1' },
      400,
      'INVALID_PARAMS',
    ],
    ['no JSON', 'POST', 'hello', {}, 400, 'INVALID_PARAMS'],
    ['a field twice', 'POST', '{"account_id":"ada","account_id":"eve"}', {}, 400, 'INVALID_PARAMS'],
    ['__proto__', 'POST', '{"account_id":"ada","__proto__":{"url":"x"}}', {}, 400, 'INVALID_PARAMS'],
    ['too much', 'POST', `"${'a'.repeat(1_100_000)}"`, {}, 400, 'INVALID_PARAMS'],
    ['too deep', 'POST', `{"account_id":${'['.repeat(40)}${']'.repeat(40)}}`, {}, 400, 'INVALID_PARAMS'],
    ['NUL', 'POST', '{"account_id":"\\u0000"}', {}, 400, 'INVALID_PARAMS'],
    ['SQL', 'POST', { account_id: "a' or '1'='1" }, {}, 404, 'INVALID_ACCOUNT'],
    [
      '401 events',
      'POST',
      { account_id: 'ada', events: Array.from({ length: 401 }, (_, n) => `e${n}`) },
      {},
      400,
      'INVALID_PARAMS',
    ],
    [
      'a url with a password',
      'POST',
      { account_id: 'ada', url: 'https://u:p@a.example/' },
      {},
      400,
      'INVALID_PARAMS',
    ],
  ])('with %s is refused in the shape of all refusals', async (_, line, body, headers, status, code) => {
    expectError(await call(line, body, { 'x-api-key': tenant.key, ...headers }), { status, code });
  });

  it('leaves the service as it was', async () => {
    expectAnswer(await call('GET /{hosted}'), 'get_webhook', { ...hostedView, ...more, url: null });
  });
});
