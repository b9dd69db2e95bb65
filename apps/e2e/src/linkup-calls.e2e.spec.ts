import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import {
  type Answer,
  type ReceivedRequest,
  Receiver,
  type RestAnswer,
  type RestRequest,
  RestClient,
  seedTenant,
  StreamClient,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { type LinkupAnswer, LinkupProgram } from './linkup-program.js';
import { itOn, startTestStack } from './test-stack.js';

// LinkUp's calls against the four running services: every one, every error code that can come of them, and what its
// receivers are posted, byte for byte.

let stack: Stack;
let tenant: TenantClient;
let linkup: LinkupProgram;
let receiver: Receiver;
/** Ids of webhooks, for `{name}` in a path. */
const ids: Record<string, string> = { unknown: '0123456789abcdef01234567' };
const it = itOn(() => stack);

beforeAll(async () => {
  stack = await startTestStack();
  receiver = await Receiver.start();
  tenant = await seedTenant(stack.url, stack.operatorKey);
  linkup = new LinkupProgram(stack.url, tenant.key);
  await tenant.rest.put('/v1/accounts/acme', { name: 'Acme Ltd' });
  const stranger = await seedTenant(stack.url, stack.operatorKey, 'stranger');
  await stranger.putAccount('theirs');
  const theirs = await new LinkupProgram(stack.url, stranger.key).make({ account_id: 'theirs' });
  ids['theirs'] = theirs.webhook_id;
  ids['hosted'] = (await linkup.make({ account_id: 'acme' })).webhook_id;
  ids['custom'] = (await linkup.make({ account_id: 'acme', url: receiver.url('/acme') })).webhook_id;
}, 180_000);
afterAll(async () => {
  await receiver.stop();
  await stack.stop();
}, 60_000);

const filled = (path: string): string => path.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? name);
const say = (method: string, path: string, request?: RestRequest): Promise<RestAnswer<LinkupAnswer>> =>
  linkup.say(method, filled(path), request);

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown;
const ID = expect.stringMatching(/^[0-9a-f]{24}$/) as unknown;
const SECRET = expect.stringMatching(/^[\x21-\x7e]{32,}$/) as unknown;
const metadata = (action: string): object => ({ action, credits_consumed: 0, timestamp: TIME });

const hosted = {
  ...{ webhook_id: ID, account_id: 'acme', mode: 'hosted', events: ['all'], is_active: true },
  stream_url: expect.stringMatching(/^\/v2\/webhooks\/[0-9a-f]{24}\/stream$/) as unknown,
  events_url: expect.stringMatching(/^\/v2\/webhooks\/[0-9a-f]{24}\/events$/) as unknown,
};
const custom = { ...hosted, mode: 'custom', stream_url: null, events_url: null };
const more = { retry: true, signature_enabled: false, created_at: TIME, updated_at: TIME };
const viewHosted = { ...hosted, ...more, url: null };
const viewCustom = { ...custom, ...more, url: expect.stringContaining('/acme') as unknown };
const monitoring = (monitored: boolean): object => ({
  webhook_id: ID,
  account_id: 'acme',
  monitoring: monitored,
});

describe('every call answers in the envelope', () => {
  const HOOK = 'https://hooks.example.com/';
  const calls: [string, string, unknown, string, unknown][] = [
    ['POST', '', { account_id: 'acme' }, 'create_webhook', hosted],
    ['POST', '', { account_id: 'acme', url: HOOK }, 'create_webhook', custom],
    [
      ...(['POST', '', { account_id: 'acme', url: HOOK, enable_signature: true }, 'create_webhook'] as const),
      { ...custom, secret: SECRET },
    ],
    [
      ...(['POST', '', { account_id: 'acme', events: ['message_received'], colour: 'red' }] as const),
      ...(['create_webhook', { ...hosted, events: ['message_received'] }] as const),
    ],
    ['GET', '', undefined, 'list_webhooks', { items: expect.arrayContaining([viewHosted, viewCustom]) }],
    ['GET', '/{hosted}', undefined, 'get_webhook', viewHosted],
    ['GET', '/{custom}', undefined, 'get_webhook', viewCustom],
    [
      ...(['PUT', '/{hosted}', { events: ['accepted_invitation'] }, 'update_webhook'] as const),
      { ...viewHosted, events: ['accepted_invitation'] },
    ],
    ['PATCH', '/{hosted}', { events: ['all'] }, 'update_webhook', viewHosted],
    ['PUT', '/{custom}', { retry: false }, 'update_webhook', { ...viewCustom, retry: false }],
    [
      'PUT',
      '/{custom}',
      { is_active: false },
      'update_webhook',
      { ...viewCustom, retry: false, is_active: false },
    ],
    ['PATCH', '/{custom}', { is_active: true, retry: true }, 'update_webhook', viewCustom],
    ['POST', '/{hosted}/stop', undefined, 'stop_webhook', monitoring(false)],
    ['POST', '/{hosted}/start', undefined, 'start_webhook', monitoring(true)],
    ['POST', '/{hosted}/start', '', 'start_webhook', monitoring(true)],
    ['GET', '/{hosted}/events', undefined, 'poll_webhook_events', { items: [] }],
    [
      ...(['POST', '/{custom}/rotate-secret', undefined, 'rotate_webhook_secret'] as const),
      { webhook_id: ID, secret: SECRET, signature_scheme: expect.stringContaining('X-Linkup-Signature') },
    ],
    ['GET', '/{custom}', undefined, 'get_webhook', { ...viewCustom, signature_enabled: true }],
    [
      'DELETE',
      '/{custom}/secret',
      undefined,
      'delete_webhook_secret',
      { webhook_id: ID, signature_enabled: false },
    ],
  ];
  for (const [method, path, body, action, data] of calls) {
    it(`${method} /v2/webhooks${path} ${JSON.stringify(body) ?? ''}`, async () => {
      // As curl -X POST -d '' sends it.
      const headers: Record<string, string> =
        body === '' ? { 'content-type': 'application/x-www-form-urlencoded' } : {};
      const { status, json } = await say(method, path, body === undefined ? {} : { body, headers });
      expect({ status, json }).toEqual({
        status: 200,
        json: { success: true, data, metadata: metadata(action) },
      });
    });
  }

  it("DELETE /v2/webhooks/{id}, after which it is nobody's", async () => {
    const { webhook_id: id } = await linkup.make({ account_id: 'acme' });
    const deleted = await say('DELETE', `/${id}`);
    expect({ status: deleted.status, json: deleted.json }).toEqual({
      status: 200,
      json: { success: true, data: { webhook_id: id, deleted: true }, metadata: metadata('delete_webhook') },
    });
    expectError(await say('GET', `/${id}`), 404, 'INVALID_ACCOUNT', 'get_webhook');
  });
});

function expectError(
  { status, json, headers }: RestAnswer<LinkupAnswer>,
  expected: number,
  code: string,
  action: string,
): void {
  expect({ status, json }).toEqual({
    status: expected,
    json: {
      ...{ success: false, metadata: metadata(action) },
      error: { code, message: expect.stringMatching(/./) as unknown },
    },
  });
  expect(headers.get('content-type')).toMatch(/^application\/json/);
}

describe('every refusal is in the words of LinkUp', () => {
  const foreign = ['/{theirs}', '/{unknown}'].flatMap(
    (path): [string, string, RestRequest, number, string, string][] => [
      ['GET', path, {}, 404, 'INVALID_ACCOUNT', 'get_webhook'],
      ['PUT', path, { body: {} }, 404, 'INVALID_ACCOUNT', 'update_webhook'],
      ['DELETE', path, {}, 404, 'INVALID_ACCOUNT', 'delete_webhook'],
      ['POST', `${path}/start`, {}, 404, 'INVALID_ACCOUNT', 'start_webhook'],
      ['POST', `${path}/stop`, {}, 404, 'INVALID_ACCOUNT', 'stop_webhook'],
      ['GET', `${path}/events`, {}, 404, 'INVALID_ACCOUNT', 'poll_webhook_events'],
      ['GET', `${path}/stream`, {}, 404, 'INVALID_ACCOUNT', 'stream_webhook'],
      ['POST', `${path}/rotate-secret`, {}, 404, 'INVALID_ACCOUNT', 'rotate_webhook_secret'],
      ['DELETE', `${path}/secret`, {}, 404, 'INVALID_ACCOUNT', 'delete_webhook_secret'],
    ],
  );
  const post = ['POST', ''] as const;
  const invalid = [400, 'INVALID_PARAMS', 'create_webhook'] as const;
  const refusals: [string, string, RestRequest, number, string, string][] = [
    ...foreign,
    [...post, { body: { account_id: 'nobody' } }, 404, 'INVALID_ACCOUNT', 'create_webhook'],
    [...post, { body: { account_id: 'theirs' } }, 404, 'INVALID_ACCOUNT', 'create_webhook'],
    ['GET', '', { headers: { 'x-api-key': '' } }, 403, 'INVALID_API_KEY', 'list_webhooks'],
    ['GET', '', { headers: { 'x-api-key': 'ph_nonsense' } }, 403, 'INVALID_API_KEY', 'list_webhooks'],
    [...post, { body: {} }, ...invalid],
    [...post, { body: { account_id: 'acme', url: 'nonsense' } }, ...invalid],
    [...post, { body: { account_id: 'acme', url: 'https://10.0.0.1/' } }, ...invalid],
    [...post, { body: { account_id: 'acme', events: 'all' } }, ...invalid],
    [...post, { body: { account_id: 'acme', enable_signature: true } }, ...invalid],
    [...post, { body: '{"account_id"' }, ...invalid],
    [...post, { body: 'account_id=acme', headers: { 'content-type': 'text/plain' } }, ...invalid],
    [
      'PUT',
      '/{hosted}',
      { body: { url: 'https://hooks.example.com/' } },
      400,
      'INVALID_PARAMS',
      'update_webhook',
    ],
    ['PUT', '/{hosted}', { body: { is_active: 'yes' } }, 400, 'INVALID_PARAMS', 'update_webhook'],
    ['GET', '/{custom}/events', {}, 400, 'INVALID_PARAMS', 'poll_webhook_events'],
    ['GET', '/{custom}/stream', {}, 400, 'INVALID_PARAMS', 'stream_webhook'],
    ['GET', '/{hosted}/events?limit=201', {}, 400, 'INVALID_PARAMS', 'poll_webhook_events'],
    ['GET', '/{hosted}/events?since=never', {}, 400, 'INVALID_PARAMS', 'poll_webhook_events'],
    ['POST', '/{hosted}/rotate-secret', {}, 400, 'INVALID_PARAMS', 'rotate_webhook_secret'],
    ['DELETE', '', {}, 400, 'INVALID_ACTION', 'unknown'],
    ['POST', '/{hosted}', { body: {} }, 400, 'INVALID_ACTION', 'unknown'],
    ['GET', '/{hosted}/start', {}, 400, 'INVALID_ACTION', 'unknown'],
    ['POST', '/{hosted}/pause', {}, 400, 'INVALID_ACTION', 'unknown'],
  ];
  for (const [method, path, request, status, code, action] of refusals) {
    it(`${method} /v2/webhooks${path} ${JSON.stringify(request)}: ${status} ${code}`, async () => {
      expectError(await say(method, path, request), status, code, action);
    });
  }

  it('without any key, or with one that was revoked: 403', async () => {
    const bare = await new RestClient(stack.url).get<LinkupAnswer>('/v2/webhooks');
    expectError(bare, 403, 'INVALID_API_KEY', 'list_webhooks');
    const operator = new RestClient(stack.url, stack.operatorKey);
    const keys = `/v1/tenants/${tenant.id}/keys`;
    const body = { name: 'short-lived', scope: 'tenant' };
    const { id, key } = await operator.ask<{ id: string; key: string }>('POST', keys, { body });
    const program = new LinkupProgram(stack.url, key);
    expect((await program.say('GET', '')).status).toBe(200);
    await operator.ask('DELETE', `${keys}/${id}`);
    expectError(await program.say('GET', ''), 403, 'INVALID_API_KEY', 'list_webhooks');
  });

  it('without credits: 402', async () => {
    const poor = await seedTenant(stack.url, stack.operatorKey, 'poor');
    await poor.putAccount('poor');
    const operator = new RestClient(stack.url, stack.operatorKey);
    await operator.ask('PATCH', `/v1/tenants/${poor.id}`, { body: { monitoring_credits: 0.5 } });
    const answer = await new LinkupProgram(stack.url, poor.key).say('POST', '', {
      body: { account_id: 'poor' },
    });
    expectError(answer, 402, 'INSUFFICIENT_CREDITS', 'create_webhook');
  });

  it('while history is away: 500 with Retry-After for what only it knows; the rest goes on', async () => {
    const history = stack.process('audit-log');
    await history.stop();
    try {
      const answer = await say('GET', '/{hosted}/events');
      expectError(answer, 500, 'INTERNAL_ERROR', 'poll_webhook_events');
      expect(answer.headers.get('retry-after')).toBe('1');
      expect((await say('GET', '/{hosted}')).status).toBe(200);
    } finally {
      await history.start();
    }
  });
});

/** As LinkUp's documents tell receivers to compute it. */
function signatureOf(secret: string, timestamp: string, body: Buffer | string): string {
  return `v1=${createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex')}`;
}

function isSigned({ headers, body }: ReceivedRequest, secret: string): boolean {
  return headers['x-linkup-signature'] === signatureOf(secret, String(headers['x-linkup-timestamp']), body);
}

describe('what is posted', () => {
  const GOLDEN =
    '{"account_id":"69c127c37cae0494dd827286","account_name":"My Account","event":{"type":"message","message_text":"Hello!"},"timestamp":"2025-01-15T10:31:00Z"}';

  it('is the golden body, byte for byte, under the signature of the golden vector', async () => {
    const secret = 'test_linkup_secret';
    expect(signatureOf(secret, '1714386470', GOLDEN)).toBe(
      'v1=e2c0368f91639638bda48b7bc92a0266f84c250f4aa6b9671733c0d8020aa34b',
    );
    await tenant.putAccount('golden');
    const url = receiver.url('/golden');
    const made = await linkup.make({ account_id: 'golden', url, enable_signature: true });
    await tenant.rest.ask('POST', `/v1/endpoints/${made.webhook_id}/secret/rotate`, {
      body: { key: secret },
    });
    await tenant.rest.ask('POST', '/v1/accounts/golden/messages', {
      body: `{"event_type":"message_received","payload":${GOLDEN}}`,
    });
    const [request] = (await receiver.whenReceived(1, ({ path }) => path === '/golden')) as [ReceivedRequest];
    expect(request.body.toString()).toBe(GOLDEN);
    expect(request.method).toBe('POST');
    expect(request.headers['x-linkup-timestamp']).toMatch(/^\d{10}$/);
    expect(isSigned(request, secret)).toBe(true);
  });

  it('verifies only with the new secret after a rotation, and tells who signs whatever comes to a signed webhook', async () => {
    await tenant.putAccount('rotated');
    const made = await linkup.make({
      account_id: 'rotated',
      url: receiver.url('/rotated'),
      enable_signature: true,
    });
    const { secret } = await linkup.call<{ secret: string }>('POST', `/${made.webhook_id}/rotate-secret`);
    await tenant.publish('rotated', 'message_received', { type: 'message' });
    const [request] = (await receiver.whenReceived(1, ({ path }) => path === '/rotated')) as [
      ReceivedRequest,
    ];
    expect([isSigned(request, made.secret ?? ''), isSigned(request, secret)]).toEqual([false, true]);
  });

  const plan = (path: string, answers: Answer[]): string => {
    receiver.plan({ path, answers });
    return receiver.url(path);
  };
  const delivery = async (account: string, status: string) =>
    waitFor(async () => (await tenant.deliveries(account)).find((found) => found.status === status), {
      what: `a delivery that is ${status}`,
      everyMs: 100,
    });

  for (const status of [201, 202, 204]) {
    it(`is acknowledged by 200 only: ${status} is a failure, and with retry:false the last`, async () => {
      const account = `once-${status}`;
      await tenant.putAccount(account);
      await linkup.make({ account_id: account, url: plan(`/${account}`, [status]), retry: false });
      await tenant.publish(account, 'message_received', { type: 'message' });
      const { id } = await delivery(account, 'exhausted');
      const attempts = await tenant.attempts(id);
      expect(attempts.map(({ outcome, response }) => [outcome, response?.status])).toEqual([
        ['failed', status],
      ]);
      expect(attempts[0]?.next_attempt_at).toBeNull();
      expect(receiver.at(`/${account}`)).toHaveLength(1);
    });
  }

  it('is tried again by default, with the same bytes', async () => {
    await tenant.putAccount('again');
    await linkup.make({ account_id: 'again', url: plan('/again', [201, 200]), enable_signature: true });
    await tenant.publish('again', 'message_received', { type: 'message' });
    const { id } = await delivery('again', 'delivered');
    const attempts = await tenant.attempts(id);
    expect(attempts.map(({ number, outcome }) => [number, outcome])).toEqual([
      [1, 'failed'],
      [2, 'succeeded'],
    ]);
    const [first, second] = receiver.at('/again') as [ReceivedRequest, ReceivedRequest];
    expect(second.body.equals(first.body)).toBe(true);
    expect(second.webhookId).toBe(first.webhookId);
  });

  it('says whose it is, also to a webhook that was made later and is sent what it missed', async () => {
    await tenant.rest.put('/v1/accounts/later', { name: 'Later Ltd' });
    const start_from = new Date(Date.now() - 60_000).toISOString();
    await tenant.publish('later', 'message_received', { type: 'message' });
    const made = await linkup.make({ account_id: 'later', url: receiver.url('/later') });
    await tenant.rest.ask('POST', `/v1/endpoints/${made.webhook_id}/backfill`, { body: { start_from } });
    const [request] = (await receiver.whenReceived(1, ({ path }) => path === '/later')) as [ReceivedRequest];
    expect(JSON.parse(request.body.toString())).toEqual({
      ...{ account_id: 'later', account_name: 'Later Ltd', event: { type: 'message' } },
      timestamp: expect.stringMatching(/Z$/) as unknown,
    });
  });
});

describe('a stream', () => {
  it('is connected while history does not answer, and goes on when it does', async () => {
    await tenant.putAccount('frozen');
    const made = await linkup.make({ account_id: 'frozen' });
    const history = stack.process('audit-log');
    await history.kill('SIGSTOP');
    let client: StreamClient | undefined;
    try {
      client = await StreamClient.open(`${stack.url}${made.stream_url}?api_key=${tenant.key}`, {});
      const { events } = client;
      await waitFor(() => events.length > 0, { what: 'connected' });
    } finally {
      await history.kill('SIGCONT');
    }
    expect(client.events).toMatchObject([
      { event: 'connected', data: `{"webhook_id":"${made.webhook_id}","account_id":"frozen"}` },
    ]);
    await tenant.publish('frozen', 'message_received', { type: 'message', n: 1 });
    const { events } = client;
    await waitFor(() => events.length > 1, { what: 'the event' });
    expect(events[1]).toMatchObject({ event: 'webhook', data: expect.stringContaining('"n":1') as unknown });
    client.close();
  });
});
