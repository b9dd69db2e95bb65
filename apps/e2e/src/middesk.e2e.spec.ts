import { createHmac } from 'node:crypto';
import { describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import {
  type ReceivedRequest,
  type Receiver,
  type RestAnswer,
  RestClient,
  type RestRequest,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { ACCOUNT, newMiddeskKey, WEBHOOKS, withMiddeskParties } from './middesk-parties.js';
import { itOn } from './test-stack.js';

// Middesk's API against the whole system, as its clients speak it: a row for each thing that can be said, and what comes
// to the receivers. Every field and its rules, in more forms, are in apps/management-api/src/facades/middesk.

const GOLDEN_SECRET = 'test_middesk_secret';
const GOLDEN_BODY =
  '{"object":"event","id":"f215a707-655e-400f-84e6-fbb949f5612a","type":"business.created","data":{"object":{' +
  '"object":"business","id":"0f86dab5-8195-4b95-b3c0-19deaeba2a8e","external_id":"ext-1","name":"A Company",' +
  '"status":"open"}},"created_at":"2026-01-01T00:00:00.000Z"}';
const GOLDEN_SIGNATURE = 'bd7d878d40d6cb299a70be2c9e70f6b72e6f12ee07e706968ffa6f62775319e2';
const NOBODY = '0f86dab5-8195-4b95-b3c0-19deaeba2a8e';
const json = { 'content-type': 'application/json' };
const url = 'https://Receiver.example';
const minimal = { url, enabled_events: ['*'] };
const oidc = {
  ...{ oidc_auth_method: 'client_secret', oidc_client_id: 'us', oidc_client_secret: 'the secret' },
  ...{ oidc_token_endpoint: 'https://idp.example', oidc_access_token_ttl_seconds: 60 },
};

interface Webhook {
  id: string;
  updated_at: string;
  [field: string]: unknown;
}

let stack: Stack;
let receiver: Receiver;
let tenant: TenantClient;
let client: RestClient;
withMiddeskParties((parties) => ({ stack, receiver, tenant, client } = parties));
const it = itOn(() => stack);

const at = ({ id }: { id: string }) => `${WEBHOOKS}/${id}`;

function created(fields: object = {}, as = client): Promise<Webhook> {
  return as.ask('POST', WEBHOOKS, { body: { ...minimal, ...fields } });
}

/** The messages of a refusal, whose shape is looked at. */
function saidBy({ headers, json: body }: RestAnswer): string[] {
  expect(headers.get('content-type')).toMatch(/^application\/json/);
  const { errors, ...rest } = body as { errors: { message: string }[] };
  expect([rest, errors]).toEqual([{}, errors.map(() => ({ message: expect.stringMatching(/\S/) }))]);
  return errors.map(({ message }) => message);
}

const basic = (user: string | undefined) => ({
  authorization: `Basic ${Buffer.from(`${user}:`).toString('base64')}`,
});

describe('a call of Middesk', () => {
  const refused: [string, string, string, RestRequest, number, string?][] = [
    ['an unknown id', 'GET', `/${NOBODY}`, {}, 404, 'There is no such webhook.'],
    ['an unknown id to change', 'PUT', `/${NOBODY}`, { body: {} }, 404, 'There is no such webhook.'],
    ['an unknown id to delete', 'DELETE', `/${NOBODY}`, {}, 404, 'There is no such webhook.'],
    ['an id that is none', 'GET', '/ep_x', {}, 404],
    ['a path below an id', 'GET', `/${NOBODY}/events`, {}, 404],
    ['a method that is none of the list', 'DELETE', '', {}, 405],
    ['a method that is none of a webhook', 'POST', `/${NOBODY}`, { body: {} }, 405],
    ['a method that is none of the keys', 'POST', '/oidc_keys', { body: {} }, 405],
    [
      'a form',
      'POST',
      '',
      { body: 'url=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
    ],
    ['text', 'PUT', `/${NOBODY}`, { body: 'x', headers: { 'content-type': 'text/plain' } }, 415],
    ['no JSON', 'POST', '', { body: '{', headers: json }, 400],
    ['two megabytes', 'POST', '', { body: `"${'x'.repeat(2_000_000)}"`, headers: json }, 413],
    ['an unknown parameter', 'GET', '?limit=5', {}, 400, 'limit'],
    ['page 0', 'GET', '?page=0', {}, 400, 'page'],
    ['too many per page', 'GET', '?per_page=101', {}, 400, 'per_page'],
    ["another's account", 'GET', '?account=nobody', {}, 404],
  ];
  for (const [name, method, path, request, status, said] of refused) {
    it(`answers ${status} for ${name}, in its words`, async () => {
      const answer = await client.send(method, WEBHOOKS + path, request);
      expect(answer.status).toBe(status);
      expect(saidBy(answer)[0]).toMatch(said === undefined ? /\S/ : new RegExp(`^${said}`));
    });
  }

  const invalid: [string, object | undefined, string[]][] = [
    ['no body', undefined, ['the']],
    ['no url', { enabled_events: ['*'] }, ['url']],
    ['no enabled_events', { url }, ['enabled_events']],
    ['no events', { ...minimal, enabled_events: [] }, ['enabled_events']],
    ['a url inside', { ...minimal, url: 'https://10.0.0.1/' }, ['url']],
    ['an unknown association', { ...minimal, include: 'names,nonsense' }, ['include']],
    ['a short secret', { ...minimal, secret: 'short' }, ['secret']],
    ['a time that is none', { ...minimal, disabled_at: 'yesterday' }, ['disabled_at']],
    ['an unknown field', { ...minimal, retries: 3 }, ['retries']],
    ['an unknown method', { ...minimal, ...oidc, oidc_auth_method: 'magic' }, ['oidc_auth_method']],
    [
      'a client secret too many',
      { ...minimal, ...oidc, oidc_auth_method: 'private_key_jwt' },
      ['oidc_client_secret'],
    ],
    ...Object.keys(oidc).map((name): [string, object, string[]] => [
      `no ${name}`,
      { ...minimal, ...oidc, [name]: undefined },
      [name],
    ]),
  ];
  for (const [name, body, named] of invalid) {
    it(`answers 422 for ${name}, and names it`, async () => {
      const answer = await client.post(WEBHOOKS, body);
      expect([answer.status, saidBy(answer).map((message) => message.split(' ')[0])]).toEqual([422, named]);
    });
  }

  it('makes, shows, changes and deletes a webhook', async () => {
    const answer = await client.post<Webhook>(WEBHOOKS, { ...minimal, ...oidc, secret: '', include: '' });
    const shown = Object.fromEntries(Object.entries(oidc).filter(([name]) => name !== 'oidc_client_secret'));
    const { id, created_at } = answer.json;
    const made = {
      ...{
        object: 'webhook',
        id,
        ...minimal,
        include: null,
        ...shown,
        oidc_scope: null,
        oidc_resource_uri: null,
      },
      ...{ created_at, updated_at: created_at, disabled_at: null, oauth_client_id: null },
    };
    expect([answer.status, answer.json]).toEqual([201, made]);
    for (const method of ['PUT', 'PATCH']) {
      // As Terraform does, that plans again with what it was told.
      expect((await client.send(method, at(made), { body: answer.json })).json).toEqual(made);
    }
    const changed = await client.patch<Webhook>(at(made), { include: 'names', secret: null });
    expect(changed.json).toEqual({ ...made, include: 'names', updated_at: changed.json.updated_at });
    expect((await client.get(at(made))).json).toEqual(changed.json);
    const deleted = await client.delete(at(made));
    expect([deleted.status, deleted.json]).toEqual([200, changed.json]);
    expect((await client.get(at(made))).status).toBe(404);
  });

  it('may have a slash at its end, a content type without a body, and be a HEAD', async () => {
    const made = await created();
    for (const path of [at(made), `${at(made)}/`]) {
      const answer = await client.get(path, json);
      expect([answer.status, answer.json]).toEqual([200, made]);
      const head = await client.send('HEAD', path);
      expect([head.status, head.bytes.length]).toEqual([200, 0]);
    }
    expect((await client.get(`${WEBHOOKS}/?per_page=1`, json)).json).toMatchObject({
      data: [made],
      has_more: false,
    });
    expect((await client.get(`${WEBHOOKS}/oidc_keys/`)).json).toMatchObject({ keys: [{ kty: 'RSA' }] });
    expect((await client.send('HEAD', `${WEBHOOKS}/${NOBODY}`)).status).toBe(404);
    expect((await client.delete(`${at(made)}/`, json)).status).toBe(200);
  });

  it('lists page after page until there is no more', async () => {
    await tenant.putAccount('paged');
    const { client: own } = await newMiddeskKey(stack, tenant, 'paged');
    const made: Webhook[] = [];
    for (let n = 0; n < 5; n++) made.unshift(await created({}, own));
    const seen: Webhook[] = [];
    for (let page = 1; ; page++) {
      const path = `${WEBHOOKS}?page=${page}&per_page=2&account=paged`;
      const { json: list } = await own.get<{ data: Webhook[]; has_more: boolean }>(path);
      seen.push(...list.data);
      expect(list).toEqual({
        object: 'list',
        data: made.slice(2 * page - 2, 2 * page),
        has_more: page < 3,
        total_count: 5,
      });
      if (!list.has_more) break;
    }
    expect(seen).toEqual(made);
  });

  it('needs a key of the account, as a bearer token or the user name of HTTP Basic, as long as it is not revoked', async () => {
    const made = await created();
    const { client: second, path } = await newMiddeskKey(stack, tenant, ACCOUNT);
    await tenant.putAccount('stranger');
    const { client: stranger } = await newMiddeskKey(stack, tenant, 'stranger');
    const anonymous = new RestClient(stack.url);
    const get = (headers = {}) => anonymous.get(at(made), headers);
    expect((await get(basic(second.key))).json).toEqual(made);
    expect((await second.get(at(made))).json).toEqual(made);
    await new RestClient(stack.url, stack.operatorKey).ask('DELETE', path);
    const byTenant = { authorization: `Bearer ${tenant.key}` };
    for (const [answer, status] of [
      [await get(), 401],
      [await get(basic('mk_live_x')), 401],
      [await get(basic(second.key)), 401],
      [await second.get(at(made)), 401],
      [await get(byTenant), 403],
      [await stranger.get(at(made)), 404],
      [await stranger.put(at(made), { url: 'https://stranger.example' }), 404],
      [await stranger.delete(at(made)), 404],
    ] as const) {
      expect([answer.status, saidBy(answer).length]).toEqual([status, 1]);
      const challenge = answer.headers.get('www-authenticate');
      expect(challenge).toEqual(
        status === 401 ? expect.stringMatching(/^Basic realm=.*Bearer realm=/) : null,
      );
    }
    expect((await client.delete(at(made))).json).toEqual(made);
  });
});

describe("a webhook's receiver", () => {
  const BUSINESS = {
    ...{ object: 'business', id: NOBODY, name: 'A Company' },
    ...{ names: [{ name: 'A' }], addresses: [{ city: 'B' }], tin: { mismatch: false } },
  };
  const arrived = async (path: string, count = 1): Promise<ReceivedRequest> => {
    const requests = await receiver.whenReceived(count, (request) => request.path === path);
    return requests[count - 1] as ReceivedRequest;
  };
  const signed = ({ body, headers }: ReceivedRequest, secret: string) =>
    headers['x-middesk-signature-256'] === createHmac('sha256', secret).update(body).digest('hex');
  const published = async (type: string, payload: unknown = BUSINESS) =>
    (await tenant.publish(ACCOUNT, type, payload)).deliveries;

  it('is sent a whole event byte for byte, with the signature that belongs to it', async () => {
    await created({ url: receiver.url('/golden'), enabled_events: ['golden'], secret: GOLDEN_SECRET });
    const body = `{"event_type":"golden","payload":${GOLDEN_BODY}}`;
    await tenant.rest.ask('POST', `/v1/accounts/${ACCOUNT}/messages`, { body, headers: json });
    const request = await arrived('/golden');
    expect(request.body.toString()).toBe(GOLDEN_BODY);
    expect(request.headers).toMatchObject({
      ...{ 'x-middesk-signature-256': GOLDEN_SIGNATURE, 'x-middesk-signature': GOLDEN_SIGNATURE },
      ...{ 'x-correlation-id': 'ext-1', 'content-type': 'application/json' },
    });
  });

  for (const [include, kept] of [
    ['addresses', ['object', 'id', 'name', 'addresses']],
    ['identifiers', ['object', 'id', 'name']],
    ['names,tin', ['object', 'id', 'name', 'names', 'tin']],
    ['*', Object.keys(BUSINESS)],
  ] as const) {
    it(`is sent what include=${include} names, and every scalar`, async () => {
      const path = `/include/${include}`;
      const { id } = await created({
        url: receiver.url(path),
        enabled_events: ['business.updated'],
        include,
      });
      await published('business.updated');
      const request = await arrived(path);
      const { data } = JSON.parse(request.body.toString()) as { data: { object: object } };
      expect(data.object).toEqual(
        Object.fromEntries(Object.entries(BUSINESS).filter(([name]) => kept.includes(name as never))),
      );
      expect(request.headers['x-correlation-id']).toBe(BUSINESS.id);
      expect(request.headers).not.toHaveProperty('x-middesk-signature-256');
      await client.delete(`${WEBHOOKS}/${id}`);
    });
  }

  it('is sent requests signed with the secret as it is now: the first, the next one only, then none', async () => {
    const secrets = ['the-first-secret', 'the-second-secret'] as const;
    const path = '/rotated';
    const made = await created({ url: receiver.url(path), enabled_events: ['rotated'], secret: secrets[0] });
    await published('rotated');
    expect(signed(await arrived(path), secrets[0])).toBe(true);
    await client.put(at(made), { secret: secrets[1] });
    await published('rotated');
    const second = await arrived(path, 2);
    expect(secrets.map((secret) => signed(second, secret))).toEqual([false, true]);
    await client.patch(at(made), { secret: '' });
    await published('rotated');
    expect((await arrived(path, 3)).headers).not.toHaveProperty('x-middesk-signature-256');
  });

  it('is sent nothing from disabled_at on, and again without; and nothing after a DELETE', async () => {
    const path = '/stopped';
    const made = await created({ url: receiver.url(path), enabled_events: ['*'] });
    const counts = () => published('stopped');
    expect(await counts()).toBe(1);
    await client.put(at(made), { disabled_at: new Date().toISOString() });
    expect(await counts()).toBe(0);
    await client.patch(at(made), { disabled_at: null });
    expect(await counts()).toBe(1);
    await arrived(path, 2);
    expect((await client.delete(at(made))).status).toBe(200);
    expect(await counts()).toBe(0);
    expect(receiver.at(path)).toHaveLength(2);
  });

  it('that answers 410 is sent nothing more until disabled_at is null again', async () => {
    const path = '/gone';
    receiver.plan({ path, answers: [410, 200] });
    const made = await created({ url: receiver.url(path), enabled_events: ['gone'] });
    await published('gone');
    const disabled = await waitFor(
      async () => {
        const { json: seen } = await client.get<Webhook>(at(made));
        return seen['disabled_at'] !== null && seen;
      },
      { what: 'the webhook disabled' },
    );
    expect(disabled).toEqual({ ...made, disabled_at: expect.any(String), updated_at: disabled.updated_at });
    expect(await published('gone')).toBe(0);
    await client.put(at(made), { disabled_at: null });
    expect(await published('gone')).toBe(1);
    await arrived(path, 2);
  });

  it('that fails is tried again, with the same body and signature', async () => {
    const path = '/failing';
    receiver.plan({ path, answers: [500, 200] });
    await created({ url: receiver.url(path), enabled_events: ['failing'], secret: GOLDEN_SECRET });
    await published('failing');
    const requests = await receiver.whenReceived(2, (request) => request.path === path, 60_000);
    expect(new Set(requests.map(({ body }) => body.toString())).size).toBe(1);
    expect(requests.every((request) => signed(request, GOLDEN_SECRET))).toBe(true);
    const before = requests[0]?.headers['x-correlation-id'];
    expect(requests[1]?.headers['x-correlation-id']).toBe(before);
    await waitFor(
      async () => (await tenant.deliveries(ACCOUNT, '?event_type=failing'))[0]?.status === 'delivered',
      {
        what: 'the delivery',
      },
    );
  });
});
