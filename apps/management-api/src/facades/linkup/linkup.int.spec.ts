import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Endpoint } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import {
  expectAnswer,
  expectError,
  LinkupClient,
  type LinkupCode,
  TIME,
} from '../../proving/linkup-client.js';
import { startTestBed, type TestBed } from '../../proving/test-bed.js';

// What LinkUp's documents promise of its calls, line by line. Its refusals and its feeds have suites of their own, and
// what takes a delivery is in apps/e2e/src/linkup.e2e.spec.ts.

let bed: TestBed;
let tenant: TenantClient;
let linkup: LinkupClient;
let stranger: LinkupClient;

const HOOKS = 'https://hooks.example.com/linkup';

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
  const other = await bed.api.newTenant('Stranger');
  linkup = new LinkupClient(bed.api.url, tenant.key);
  stranger = new LinkupClient(bed.api.url, other.key);
  for (const uid of ['ada', 'bob', 'eve']) linkup.ids[`account ${uid}`] = (await tenant.putAccount(uid)).id;
  await other.putAccount('theirs');
  linkup.ids['hosted'] = await linkup.make({ account_id: 'ada' });
  linkup.ids['custom'] = await linkup.make({ account_id: 'ada', url: HOOKS });
  linkup.ids['signed'] = await linkup.make({ account_id: 'ada', url: HOOKS, enable_signature: true });
  linkup.ids['theirs'] = await stranger.make({ account_id: 'theirs' });
  linkup.ids['unknown'] = '0123456789abcdef01234567';
  const native = { url: HOOKS, uid: 'native', profile: 'linkup' };
  await tenant.rest.ask('POST', '/v1/accounts/bob/endpoints', { body: native });
}, 60_000);
afterAll(() => bed.stop());

const endpointBehind = (webhook: string): Promise<Endpoint> =>
  tenant.rest.ask('GET', `/v1/endpoints/${webhook}`);

const ID = expect.stringMatching(/^[0-9a-f]{24}$/) as unknown;
const SECRET = expect.stringMatching(/^[\x21-\x7e]{32,}$/) as unknown;

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
      { ...hostedView, events: ['disconnection', 'message_received'] },
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
    const body = { ...fields, account_id: account_id === '{adaId}' ? linkup.ids['account ada'] : account_id };
    expectAnswer(await linkup.call('POST', body), 'create_webhook', data);
  });

  it.each<[string, unknown, LinkupCode, RegExp]>([
    ['an account there is not', { account_id: 'nobody' }, 'INVALID_ACCOUNT', /account/],
    ["a stranger's account", { account_id: 'theirs' }, 'INVALID_ACCOUNT', /account/],
    ['no account_id', { url: HOOKS }, 'INVALID_PARAMS', /^account_id /],
    ['an account_id that is a number', { account_id: 7 }, 'INVALID_PARAMS', /^account_id /],
    ['a url that is none', { account_id: 'ada', url: 'here' }, 'INVALID_PARAMS', /^url /],
    ['an empty url', { account_id: 'ada', url: '' }, 'INVALID_PARAMS', /^url /],
    ['a url of another scheme', { account_id: 'ada', url: 'ftp://a.example/' }, 'INVALID_PARAMS', /^url /],
    [
      'a url that must not be called',
      { account_id: 'ada', url: 'https://10.0.0.1/' },
      'INVALID_PARAMS',
      /^url /,
    ],
    ['events that are no list', { account_id: 'ada', events: 'all' }, 'INVALID_PARAMS', /^events /],
    ['no event at all', { account_id: 'ada', events: [] }, 'INVALID_PARAMS', /^events /],
    [
      'an event that is no name',
      { account_id: 'ada', events: ['all', ' '] },
      'INVALID_PARAMS',
      /^events\.1 /,
    ],
    ['retry that is no boolean', { account_id: 'ada', retry: 'no' }, 'INVALID_PARAMS', /^retry /],
    [
      'a signature on a hosted webhook',
      { account_id: 'ada', enable_signature: true },
      'INVALID_PARAMS',
      /^enable_signature /,
    ],
    ['no body', undefined, 'INVALID_PARAMS', /^The body /],
    ['a list', [], 'INVALID_PARAMS', /^The body /],
    ['half a body', '{"account_id":', 'INVALID_PARAMS', /./],
  ])('refuses %s', async (_, body, code, message) => {
    expectError(await linkup.call('POST', body), code, { message, action: 'create_webhook' });
  });

  it.each(['application/json', 'application/json; charset=utf-8', 'application/merge-patch+json'])(
    'reads %s',
    async (type) => {
      const answer = await linkup.call('POST', { account_id: 'ada' }, { 'content-type': type });
      expectAnswer(answer, 'create_webhook', hostedView);
    },
  );

  it('retries failed deliveries on the default schedule unless told otherwise', async () => {
    const retried = await endpointBehind(await linkup.make({ account_id: 'ada', url: HOOKS }));
    expect(retried).toMatchObject({ profile: 'linkup', retry_policy: { preset: 'ada' }, enabled: true });
    const once = await endpointBehind(await linkup.make({ account_id: 'ada', url: HOOKS, retry: false }));
    expect(once.retry_policy).toEqual({ preset: 'none' });
  });
});

describe('GET /v2/webhooks', () => {
  it('answers all of the key, with signature_enabled and without any secret', async () => {
    const { json, bytes } = await linkup.call('GET');
    const items = json.data['items'] as Record<string, unknown>[];
    const byId = new Map(items.map((item) => [item['webhook_id'], item]));
    expect(byId.get(linkup.ids['hosted'])).toEqual({ ...hostedView, ...more, url: null });
    expect(byId.get(linkup.ids['custom'])).toEqual({ ...customView, ...more, url: HOOKS });
    expect(byId.get(linkup.ids['signed'])).toEqual({
      ...customView,
      ...more,
      url: HOOKS,
      signature_enabled: true,
    });
    expect(byId.has(linkup.ids['theirs'])).toBe(false);
    expect(byId.has('native')).toBe(false);
    expect(bytes.toString()).not.toContain('secret');
    expect(json.metadata).toEqual({ action: 'list_webhooks', credits_consumed: 0, timestamp: TIME });
    expectAnswer(await stranger.call('GET'), 'list_webhooks', {
      items: [expect.objectContaining({ webhook_id: linkup.ids['theirs'], account_id: 'theirs' })],
    });
  });

  it('answers none to who has none', async () => {
    const { key } = await bed.api.newTenant('Empty');
    expectAnswer(await new LinkupClient(bed.api.url, key).call('GET'), 'list_webhooks', { items: [] });
  });

  it('answers one', async () => {
    expectAnswer(await linkup.call('GET /{hosted}'), 'get_webhook', { ...hostedView, ...more, url: null });
    expectAnswer(await linkup.call('GET /{signed}'), 'get_webhook', {
      ...customView,
      ...more,
      url: HOOKS,
      signature_enabled: true,
    });
  });

  it('answers an account key its own account only', async () => {
    const bob = new LinkupClient(bed.api.url, (await bed.api.accountClient(tenant, 'bob')).key ?? '');
    const own = await bob.make({ account_id: 'bob' });
    const { json } = await bob.call('GET');
    expect(json.data['items']).toMatchObject([{ webhook_id: own, account_id: 'bob' }]);
    expectError(await bob.call(`GET /${linkup.ids['hosted']}`), 'INVALID_ACCOUNT');
    expectError(await bob.call('POST', { account_id: 'ada' }), 'INVALID_ACCOUNT');
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
    const id = await linkup.make({ account_id: 'ada', ...before });
    const { version } = await endpointBehind(id);
    expectAnswer(await linkup.call(`${method} /${id}`, change), 'update_webhook', { ...more, ...after });
    expectAnswer(await linkup.call(`GET /${id}`), 'get_webhook', { ...more, ...after });
    if (Object.keys(change).length === 0) expect((await endpointBehind(id)).version).toBe(version);
  });

  it.each<[string, string, unknown, LinkupCode, RegExp]>([
    ['a url for a hosted webhook', '{hosted}', { url: HOOKS }, 'INVALID_PARAMS', /^url /],
    ['a url that is none', '{custom}', { url: 'x' }, 'INVALID_PARAMS', /^url /],
    ['is_active that is no boolean', '{custom}', { is_active: 1 }, 'INVALID_PARAMS', /^is_active /],
    ['no body', '{custom}', undefined, 'INVALID_PARAMS', /^The body /],
    ['a webhook there is not', '{unknown}', {}, 'INVALID_ACCOUNT', /webhook/],
    ["a stranger's webhook", '{theirs}', {}, 'INVALID_ACCOUNT', /webhook/],
  ])('refuses %s', async (_, id, body, code, message) => {
    expectError(await linkup.call(`${method} /${id}`, body), code, { message, action: 'update_webhook' });
  });
});

it('DELETE /v2/webhooks/{id} takes it away', async () => {
  const id = await linkup.make({ account_id: 'ada' });
  expectAnswer(await linkup.call(`DELETE /${id}`), 'delete_webhook', { webhook_id: id, deleted: true });
  for (const line of [`DELETE /${id}`, `GET /${id}`, `POST /${id}/start`]) {
    expectError(await linkup.call(line), 'INVALID_ACCOUNT');
  }
});

describe('POST /v2/webhooks/{id}/start and /stop', () => {
  it.each<[string, unknown, Record<string, string>]>([
    ['no body', undefined, {}],
    ['an empty body of JSON', '', { 'content-type': 'application/json' }],
    ['an empty body of text', '', { 'content-type': 'text/plain' }],
    ['an empty body as curl has it', '', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a body nobody reads', {}, {}],
  ])('with %s, keeping what is configured', async (_, body, headers) => {
    const given = { account_id: 'ada', url: HOOKS, events: ['message_received'], retry: false };
    const id = await linkup.make(given);
    const send = (line: string) => linkup.call(line, body, headers);
    const stopped = { webhook_id: id, account_id: 'ada', monitoring: false };
    // Again changes nothing.
    for (let time = 1; time <= 2; time++) {
      expectAnswer(await send(`POST /${id}/stop`), 'stop_webhook', stopped);
    }
    const view = { ...customView, ...more, url: HOOKS, events: ['message_received'], retry: false };
    expectAnswer(await linkup.call(`GET /${id}`), 'get_webhook', { ...view, is_active: false });
    for (let time = 1; time <= 2; time++) {
      expectAnswer(await send(`POST /${id}/start`), 'start_webhook', { ...stopped, monitoring: true });
    }
    expectAnswer(await linkup.call(`GET /${id}`), 'get_webhook', view);
    expect((await endpointBehind(id)).version).toBe(3);
  });

  it('a stopped webhook gets nothing, the others of its account go on', async () => {
    const [one] = [await linkup.make({ account_id: 'eve' }), await linkup.make({ account_id: 'eve' })];
    const routes = async () => (await tenant.publish('eve', 'message_received', {})).deliveries;
    expect(await routes()).toBe(2);
    await linkup.call(`POST /${one}/stop`);
    expect(await routes()).toBe(1);
    await linkup.call(`POST /${one}/start`);
    expect(await routes()).toBe(2);
  });
});

it('disconnection reaches every webhook, whatever its filter, and only what was asked for is shown', async () => {
  await tenant.putAccount('filtered');
  const id = await linkup.make({ account_id: 'filtered', events: ['message_received'] });
  const routes = async (type: string) => (await tenant.publish('filtered', type, {})).deliveries;
  expect(await routes('disconnection')).toBe(1);
  expect(await routes('message_received')).toBe(1);
  expect(await routes('accepted_invitation')).toBe(0);
  expect((await linkup.call(`GET /${id}`)).json.data['events']).toEqual(['message_received']);
  // Nor does a filter that only the native API can set keep it away.
  const { version } = await endpointBehind(id);
  await tenant.rest.ask('PATCH', `/v1/endpoints/${id}`, {
    body: { event_types: ['accepted_invitation'], channels: ['eu'] },
    headers: { 'if-match': `"${version}"` },
  });
  expect(await routes('disconnection')).toBe(1);
  expect(await routes('accepted_invitation')).toBe(0);
  await linkup.call(`POST /${id}/stop`);
  expect(await routes('disconnection')).toBe(0);
});

it.each([
  ['GET /', 'list_webhooks'],
  ['GET /{hosted}/', 'get_webhook'],
  ['POST /{hosted}/start/', 'start_webhook'],
])('a slash at the end makes no difference: %s', async (line, action) => {
  const { status, json } = await linkup.call(line);
  expect([status, json.metadata.action]).toEqual([200, action]);
});

describe('a signature', () => {
  it('of rotate-secret is new each time, shown once, and the old secret dies at once', async () => {
    const { json } = await linkup.call('POST', { account_id: 'ada', url: HOOKS, enable_signature: true });
    const { webhook_id: id, secret: first } = json.data as { webhook_id: string; secret: string };
    const revealed = () => tenant.secretOf(id);
    expect(await revealed()).toBe(first);
    const rotated = await linkup.call(`POST /${id}/rotate-secret`);
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
    const id = await linkup.make({ account_id: 'ada', url: HOOKS, enable_signature: true });
    const enabled = async () => (await linkup.call(`GET /${id}`)).json.data['signature_enabled'];
    expect(await enabled()).toBe(true);
    for (let time = 1; time <= 2; time++) {
      const data = { webhook_id: id, signature_enabled: false };
      expectAnswer(await linkup.call(`DELETE /${id}/secret`), 'delete_webhook_secret', data);
    }
    expect(await enabled()).toBe(false);
    expect((await linkup.call(`POST /${id}/rotate-secret`)).status).toBe(200);
    expect(await enabled()).toBe(true);
  });

  it('is not for hosted webhooks', async () => {
    const answer = await linkup.call('POST /{hosted}/rotate-secret');
    expectError(answer, 'INVALID_PARAMS', { action: 'rotate_webhook_secret' });
  });
});
