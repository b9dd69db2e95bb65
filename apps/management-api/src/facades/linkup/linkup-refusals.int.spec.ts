import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TenantClient } from '@posthaste/test-kit';
import { expectAnswer, expectError, LinkupClient, type LinkupCode } from '../../proving/linkup-client.js';
import { startTestBed, type TestBed } from '../../proving/test-bed.js';

// Every refusal under LinkUp's paths is LinkUp's own, whoever makes it: never our form, and never a status of 5xx.

let bed: TestBed;
let tenant: TenantClient;
let linkup: LinkupClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
  await tenant.putAccount('ada');
  linkup = new LinkupClient(bed.api.url, tenant.key);
  linkup.ids['hosted'] = await linkup.make({ account_id: 'ada' });
  const other = await bed.api.newTenant('Stranger');
  await other.putAccount('theirs');
  linkup.ids['theirs'] = await new LinkupClient(bed.api.url, other.key).make({ account_id: 'theirs' });
  linkup.ids['unknown'] = '0123456789abcdef01234567';
  const native = { url: 'https://hooks.example.com/', uid: 'native', profile: 'linkup' };
  await tenant.rest.ask('POST', '/v1/accounts/ada/endpoints', { body: native });
}, 60_000);
afterAll(() => bed.stop());

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
  ['GET /{hosted}/events', 'poll_webhook_events'],
  ['GET /{hosted}/stream', 'stream_webhook'],
];

describe.each(calls)('%s', (line, action) => {
  it.each<[string, () => Record<string, string>]>([
    ['no key', () => ({})],
    ['an unknown key', () => ({ 'x-api-key': 'nonsense' })],
    ['an empty key', () => ({ 'x-api-key': '' })],
    ['the key in another header', () => ({ authorization: `Bearer ${tenant.key}` })],
    ["the operator's key", () => ({ 'x-api-key': bed.api.operator.key ?? '' })],
  ])('answers 403 to %s', async (_, headers) => {
    expectError(await linkup.bare(line, { headers: headers() }), 'INVALID_API_KEY', { action });
  });

  it('answers 403 to the key in the query, where logs would keep it; the stream has to', async () => {
    if (action === 'stream_webhook') return;
    const withKey = `${line.includes(' ') ? line : `${line} `}?api_key=${tenant.key}`;
    expectError(await linkup.bare(withKey), 'INVALID_API_KEY', { action });
  });

  it('answers 404 to a foreign, an unknown and an impossible id', async () => {
    if (!line.includes('{hosted}')) return;
    for (const id of ['{theirs}', '{unknown}', 'native', 'x', '%00', 'a'.repeat(500)]) {
      const body = /^(PUT|PATCH)/.test(line) ? {} : undefined;
      const answer = await linkup.call(line.replace('{hosted}', id), body);
      expectError(answer, 'INVALID_ACCOUNT', { action });
    }
  });
});

it('a revoked key opens nothing', async () => {
  const body = { name: 'b', scope: 'tenant' };
  const path = `/v1/tenants/${tenant.id}/keys`;
  const { id, key } = await bed.api.operator.ask<{ id: string; key: string }>('POST', path, { body });
  const client = new LinkupClient(bed.api.url, key);
  expect((await client.call('GET')).status).toBe(200);
  await bed.api.operator.ask('DELETE', `${path}/${id}`);
  expectError(await client.call('GET'), 'INVALID_API_KEY');
});

describe('a hostile request', () => {
  it.each<[string, string, unknown, Record<string, string>, LinkupCode]>([
    ['another method', 'DELETE', undefined, {}, 'INVALID_ACTION'],
    ['another method of one', 'POST /{hosted}', {}, {}, 'INVALID_ACTION'],
    ['another method of start', 'GET /{hosted}/start', undefined, {}, 'INVALID_ACTION'],
    ['a path nobody serves', 'POST /{hosted}/pause', {}, {}, 'INVALID_ACTION'],
    ['a deeper path', 'GET /{hosted}/events/1', undefined, {}, 'INVALID_ACTION'],
    ['an empty part', 'GET //events', undefined, {}, 'INVALID_ACTION'],
    ['what is no escape', 'GET /%zz', undefined, {}, 'INVALID_PARAMS'],
    ['what is no UTF-8', 'GET /%ff', undefined, {}, 'INVALID_PARAMS'],
    [
      'another content type',
      'POST',
      'a=1',
      { 'content-type': 'application/x-www-form-urlencoded' },
      'INVALID_PARAMS',
    ],
    [
      'another charset',
      'POST',
      '{}',
      { 'content-type': 'application/json; charset=latin1' },
      'INVALID_PARAMS',
    ],
    ['no JSON', 'POST', 'hello', {}, 'INVALID_PARAMS'],
    ['a field twice', 'POST', '{"account_id":"ada","account_id":"eve"}', {}, 'INVALID_PARAMS'],
    ['__proto__', 'POST', '{"account_id":"ada","__proto__":{"url":"x"}}', {}, 'INVALID_PARAMS'],
    ['too much', 'POST', `"${'a'.repeat(1_100_000)}"`, {}, 'INVALID_PARAMS'],
    ['too deep', 'POST', `{"account_id":${'['.repeat(40)}${']'.repeat(40)}}`, {}, 'INVALID_PARAMS'],
    ['NUL', 'POST', '{"account_id":"\\u0000"}', {}, 'INVALID_PARAMS'],
    ['SQL', 'POST', { account_id: "a' or '1'='1" }, {}, 'INVALID_ACCOUNT'],
    [
      '401 events',
      'POST',
      { account_id: 'ada', events: Array.from({ length: 401 }, (_, n) => `e${n}`) },
      {},
      'INVALID_PARAMS',
    ],
    [
      'a url with a password',
      'POST',
      { account_id: 'ada', url: 'https://u:p@a.example/' },
      {},
      'INVALID_PARAMS',
    ],
  ])('with %s is refused in the shape of all refusals', async (_, line, body, headers, code) => {
    expectError(await linkup.call(line, body, headers), code);
  });

  it('leaves the service as it was', async () => {
    const expected = expect.objectContaining({
      webhook_id: linkup.ids['hosted'],
      is_active: true,
    }) as unknown;
    expectAnswer(await linkup.call('GET /{hosted}'), 'get_webhook', expected);
  });
});
