import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type Endpoint, type EndpointSecret, healthFactOf, topics } from '@posthaste/contracts';
import { type RestAnswer, RestClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { AdaBed, created, type Page, URL_OK, WEBHOOK, WEBHOOKS } from '../../proving/ada-bed.js';
import { adaErrorOf } from '../../proving/ada-error.js';
import { attemptAt, refused } from '../../proving/attempt-facts.js';
import { recordsOf } from '../../proving/logged-messages.js';
import type { TestBed } from '../../proving/test-bed.js';
import type { Webhook } from './webhook.js';

// Each call, rule and acceptance line of Ada's webhook API, as a client of Ada's meets it; its list and its limits are in
// a file beside this, and what it delivers is proven end to end.

jest.setTimeout(60_000);

const KEY = `whsec_${Buffer.alloc(24, 5).toString('base64')}`;

let on: AdaBed;
let bed: TestBed;
let tenant: TenantClient;
/** The clients of an account each. */
let acme: RestClient;
let other: RestClient;

beforeAll(async () => {
  on = await AdaBed.start();
  ({ bed, tenant } = on);
  acme = await on.newClient('acme');
  other = await on.newClient('other');
});
afterAll(() => on.stop());

const create = (fields: object = {}, client = acme): Promise<Webhook> => created(client, fields);

const native = async ({ id }: Webhook): Promise<Endpoint> => tenant.rest.ask('GET', `/v1/endpoints/${id}`);

describe('the calls', () => {
  type Call = [
    line: string,
    method: string,
    path: (of: Webhook) => string,
    body: unknown,
    status: number,
    answer: unknown,
  ];
  it.each<Call>([
    [
      'list',
      'GET',
      () => `${WEBHOOKS}?limit=1`,
      undefined,
      200,
      { data: [WEBHOOK], meta: { next_page_url: expect.anything() } },
    ],
    ['create with a URL only', 'POST', () => WEBHOOKS, { url: URL_OK }, 201, WEBHOOK],
    [
      'create with everything, and more than Ada knows',
      'POST',
      () => WEBHOOKS,
      {
        url: URL_OK,
        description: 'd',
        event_filters: ['v1.end_user.created'],
        enabled: false,
        colour: 'red',
      },
      201,
      { ...WEBHOOK, description: 'd', event_filters: ['v1.end_user.created'], enabled: false },
    ],
    ['get', 'GET', ({ id }) => WEBHOOKS + id, undefined, 200, WEBHOOK],
    [
      'patch of what is sent',
      'PATCH',
      ({ id }) => WEBHOOKS + id,
      { description: 'new' },
      200,
      { ...WEBHOOK, description: 'new' },
    ],
    [
      'patch of everything',
      'PATCH',
      ({ id }) => WEBHOOKS + id,
      {
        url: 'https://new.example/',
        description: 'x',
        event_filters: ['a', 'b.c'],
        enabled: false,
        id: 'no',
      },
      200,
      {
        ...WEBHOOK,
        url: 'https://new.example/',
        description: 'x',
        event_filters: ['a', 'b.c'],
        enabled: false,
      },
    ],
    ['delete', 'DELETE', ({ id }) => WEBHOOKS + id, undefined, 204, null],
    [
      'get the secret',
      'GET',
      ({ id }) => `${WEBHOOKS}${id}/secret/`,
      undefined,
      200,
      { key: expect.stringMatching(/^whsec_[A-Za-z0-9+/]+=*$/) },
    ],
    ['rotate without a body', 'POST', ({ id }) => `${WEBHOOKS}${id}/secret/rotate/`, undefined, 200, {}],
    ['rotate to a random key', 'POST', ({ id }) => `${WEBHOOKS}${id}/secret/rotate/`, {}, 200, {}],
    ['rotate to a key', 'POST', ({ id }) => `${WEBHOOKS}${id}/secret/rotate/`, { key: KEY }, 200, {}],
    ['list event types', 'GET', () => `${WEBHOOKS}event-types/`, undefined, 200, { data: [] }],
  ])('%s, with and without a slash at the end', async (_, method, path, body, status, answer) => {
    for (const slash of ['/', '']) {
      await create();
      const [route = '', query] = path(await create()).split('?');
      const asked = route.replace(/\/$/, '') + slash + (query === undefined ? '' : `?${query}`);
      const got = await acme.send(method, asked, { body });
      expect([asked, got.status, got.json]).toEqual([asked, status, answer]);
      if (status === 204) expect(got.bytes).toHaveLength(0);
      else expect(got.headers.get('content-type')).toMatch(/^application\/json/);
    }
  });
});

describe('refusals, in the form of Ada', () => {
  type Refused = [line: string, ask: () => Promise<RestAnswer>, error: unknown[]];
  const absent = [404, 'not_found'];
  const badKey = [401, 'unauthorized'];
  const unauthorized = (key?: string): Promise<RestAnswer> => bed.api.as(key).get(WEBHOOKS);
  const under = async (webhook: Webhook, client = acme): Promise<unknown[]> => {
    const path = WEBHOOKS + webhook.id;
    const answers = [
      await client.get(path),
      await client.patch(path, { enabled: false }),
      await client.delete(path),
      await client.get(`${path}/secret/`),
      await client.post(`${path}/secret/rotate/`, {}),
    ];
    return answers.map(adaErrorOf);
  };

  it.each<Refused>([
    ['no token', () => unauthorized(), badKey],
    ['a garbled token', () => unauthorized('ph_account_x'), badKey],
    ['a bad URL', () => acme.post(WEBHOOKS, { url: 'nowhere' }), [400, 'validation_error', '$.url']],
    ['no URL', () => acme.post(WEBHOOKS, {}), [400, 'validation_error', '$.url']],
    ['no body', () => acme.post(WEBHOOKS), [400, 'validation_error', '$.url']],
    [
      'a URL without HTTPS',
      () => acme.post(WEBHOOKS, { url: 'http://receiver.example/' }),
      [400, 'validation_error', '$.url'],
    ],
    [
      'a filter that is no event type',
      () => acme.post(WEBHOOKS, { url: URL_OK, event_filters: ['ok', 'not ok'] }),
      [400, 'validation_error', '$.event_filters[1]'],
    ],
    [
      'two wrong fields, in one error',
      () => acme.post(WEBHOOKS, { url: 1, enabled: 'yes' }),
      [400, 'validation_error', '$.url', '$.enabled'],
    ],
    [
      'a patch to a bad URL',
      async () => acme.patch(WEBHOOKS + (await create()).id, { url: 'https://10.0.0.1/' }),
      [400, 'validation_error', '$.url'],
    ],
    [
      'a key that is none',
      async () => acme.post(`${WEBHOOKS}${(await create()).id}/secret/rotate/`, { key: 'short' }),
      [400, 'validation_error', '$.key'],
    ],
    ['an unknown id', () => acme.get(`${WEBHOOKS}ep_2KWPBgLlAfxdpx2AI54pPJ85f4W`), absent],
    ['malformed JSON', () => acme.post(WEBHOOKS, '{"url":'), [400, 'bad_request']],
    ['a body that is no object', () => acme.post(WEBHOOKS, '[]'), [400, 'validation_error', '$']],
    ['a name twice', () => acme.post(WEBHOOKS, '{"url":"a","url":"b"}'), [400, 'validation_error', '$.url']],
    [
      'another content type',
      () => acme.post(WEBHOOKS, 'url=x', { 'content-type': 'text/plain' }),
      [400, 'bad_request'],
    ],
    ['another method', () => acme.send('PUT', WEBHOOKS, { body: {} }), [405, 'method_not_allowed']],
    ['a path below that is none', () => acme.get(`${WEBHOOKS}a/b/c/d`), absent],
    [
      'a body of more than ten megabytes',
      () => acme.post(WEBHOOKS, ' '.repeat(10 * 1_048_576 + 1)),
      [413, 'content_too_large'],
    ],
    [
      'a body of as much, whose URL is too long',
      () => acme.post(WEBHOOKS, { url: `${URL_OK}${'x'.repeat(10_000_000)}` }),
      [400, 'validation_error', '$.url'],
    ],
    ['a key of the whole tenant', () => tenant.rest.get(WEBHOOKS), [403, 'authorization_error']],
    ["the operator's key", () => bed.api.operator.get(WEBHOOKS), [403, 'authorization_error']],
    [
      'a made-up cursor',
      () => acme.get(`${WEBHOOKS}?cursor=AAAA`),
      [400, 'validation_error', 'query $.cursor'],
    ],
    ...['0', '-1', '1.5', 'all', ''].map((limit): Refused => [
      `limit=${limit}`,
      () => acme.get(`${WEBHOOKS}?limit=${limit}`),
      [400, 'validation_error', 'query $.limit'],
    ]),
  ])('%s', async (_, ask, error) => {
    expect(adaErrorOf(await ask())).toEqual(error);
  });

  it('a revoked key, from the moment it is; another of the account goes on', async () => {
    const body = { scope: 'account', account: 'acme' };
    const path = `/v1/tenants/${tenant.id}/keys`;
    const made = await bed.api.operator.ask<{ id: string; key: string }>('POST', path, { body });
    expect((await unauthorized(made.key)).status).toBe(200);
    await bed.api.operator.delete(`${path}/${made.id}`);
    expect(adaErrorOf(await unauthorized(made.key))).toEqual(badKey);
    expect((await acme.get(WEBHOOKS)).status).toBe(200);
  });

  it("what is another tenant's, another account's, of another profile, a feed or deleted, is not there", async () => {
    const stranger = await on.newClient('acme', await bed.api.newTenant('Stranger'));
    const standard = await tenant.createEndpoint('acme', { url: URL_OK });
    const made = (fields: object): Promise<Webhook> =>
      tenant.rest.ask('POST', '/v1/accounts/acme/endpoints', { body: fields });
    const feed = await made({ mode: 'feed', profile: 'ada' });
    const gone = await create();
    await acme.delete(WEBHOOKS + gone.id);
    const mine = await create();
    const nothing = Array.from({ length: 5 }, () => absent);
    expect(await under(mine, stranger)).toEqual(nothing);
    expect(await under(mine, other)).toEqual(nothing);
    for (const one of [standard, feed, gone]) expect(await under(one as unknown as Webhook)).toEqual(nothing);
    expect((await acme.get(WEBHOOKS + mine.id)).json).toEqual(mine);
    const { data } = await acme.ask<Page>('GET', `${WEBHOOKS}?limit=200`);
    const listed = data.map(({ id }) => id);
    for (const { id } of [standard, feed, gone]) expect(listed).not.toContain(id);
    expect((await tenant.rest.get(`/v1/endpoints/${standard.id}`)).json).toMatchObject({ version: 1 });
  });
});

describe('a webhook', () => {
  it('is an endpoint of profile ada, on its schedule and with its timeout; the first call provisions silently', async () => {
    const fresh = await on.newClient('fresh');
    const webhook = await create({}, fresh);
    expect(await native(webhook)).toMatchObject({
      mode: 'push',
      profile: 'ada',
      retry_policy: { preset: 'ada' },
      timeout_seconds: 15,
      auto_disable: true,
    });
    expect((await fresh.get<Page>(WEBHOOKS)).json.data).toEqual([webhook]);
  });

  it('made natively with the profile is one as well', async () => {
    const body = { url: URL_OK, profile: 'ada', description: 'made natively' };
    const { id } = await tenant.rest.ask<Endpoint>('POST', '/v1/accounts/acme/endpoints', { body });
    expect((await acme.get(WEBHOOKS + id)).json).toEqual({ ...WEBHOOK, id, description: body.description });
  });

  it('is left as it is by a patch of nothing, down to the time of its last change', async () => {
    const made = await create({ description: 'd' });
    const before = await native(made);
    expect((await acme.patch(WEBHOOKS + made.id, {})).json).toEqual(made);
    expect((await acme.send('PATCH', WEBHOOKS + made.id)).json).toEqual(made);
    expect((await acme.patch(WEBHOOKS + made.id, { description: 'd', other: 1 })).json).toEqual(made);
    expect(await native(made)).toEqual(before);
  });

  it('shows the key it was given, and goes on signing with the old one for 24 h', async () => {
    const made = await create();
    const path = `${WEBHOOKS}${made.id}/secret/`;
    const keyNow = async (): Promise<string> => (await acme.ask<{ key: string }>('GET', path)).key;
    const first = await keyNow();
    expect(Buffer.from(first.slice('whsec_'.length), 'base64').length).toBeGreaterThanOrEqual(24);
    for (const key of [KEY, `${Buffer.alloc(24, 9).toString('base64')}`]) {
      expect((await acme.post(`${path}rotate/`, { key })).json).toEqual({});
      expect(await keyNow()).toBe(key === KEY ? KEY : `whsec_${key}`);
    }
    expect((await acme.get(path)).headers.get('cache-control')).toBe('no-store');
    await acme.post(`${path}rotate`, { key: null });
    const { secrets } = await tenant.rest.ask<EndpointSecret>('GET', `/v1/endpoints/${made.id}/secret`);
    const lives = secrets.map(({ expires_at }, i) =>
      expires_at === null ? null : Date.parse(expires_at) - Date.parse(secrets[i - 1]?.created_at ?? ''),
    );
    expect(lives).toEqual([null, 86_400_000, 86_400_000, 86_400_000]);
  });

  it('is rotated by a request of no body, whatever that says its type is', async () => {
    const made = await create();
    const path = `${WEBHOOKS}${made.id}/secret/`;
    const keyNow = async (): Promise<string> => (await acme.ask<{ key: string }>('GET', path)).key;
    const seen = new Set([await keyNow()]);
    const types = ['text/plain', 'application/x-www-form-urlencoded', 'application/json', 'nonsense', ''];
    for (const type of types) {
      const answer = await acme.post(`${path}rotate/`, '', { 'content-type': type });
      expect([type, answer.status, answer.json]).toEqual([type, 200, {}]);
      seen.add(await keyNow());
    }
    expect(seen.size).toBe(1 + types.length);
    // One that has a body is asked for its type as ever.
    const refused = await acme.post(`${path}rotate/`, '{}', { 'content-type': 'text/plain' });
    expect(adaErrorOf(refused)).toEqual([400, 'bad_request']);
  });

  it('has one secret after a rotation to the one it has, also without its prefix', async () => {
    const made = await create();
    const path = `${WEBHOOKS}${made.id}/secret/`;
    const live = async (): Promise<(string | null)[]> => {
      const route = `/v1/endpoints/${made.id}/secret`;
      const { key, secrets } = await tenant.rest.ask<EndpointSecret>('GET', route);
      return [key, ...secrets.map(({ expires_at }) => expires_at)];
    };
    const { key } = await acme.ask<{ key: string }>('GET', path);
    for (const same of [key, key.slice('whsec_'.length), key]) {
      await acme.ask('POST', `${path}rotate/`, { body: { key: same } });
      expect(await live()).toEqual([key, null]);
    }
    await acme.ask('POST', `${path}rotate/`, { body: { key: KEY } });
    await acme.ask('POST', `${path}rotate/`, { body: { key } });
    expect(await live()).toEqual([key, null, expect.any(String)]);
  });

  it('shows the public key where it was left with asymmetric signatures only, until it is rotated', async () => {
    const made = await create();
    const secret = `/v1/endpoints/${made.id}/secret`;
    const { secrets } = await tenant.rest.ask<EndpointSecret>('GET', secret);
    const path = `${WEBHOOKS}${made.id}/secret/`;
    const { key: first } = await acme.ask<{ key: string }>('GET', path);
    await tenant.rest.ask('POST', `${secret}/rotate`, { body: { version: 'v1a' } });
    // While it has both, the one that Ada's receivers know.
    expect((await acme.get(path)).json).toEqual({ key: first });
    await tenant.rest.ask('DELETE', `${secret}/${secrets[0]?.id}`);
    const { public_key } = await tenant.rest.ask<EndpointSecret>('GET', secret);
    expect(public_key).toMatch(/^whpk_/);
    expect((await acme.get(path)).json).toEqual({ key: public_key });
    await acme.ask('POST', `${path}rotate/`);
    expect((await acme.get(path)).json).toEqual({ key: expect.stringMatching(/^whsec_/) });
  });

  it('has for null what it has when nothing is said', async () => {
    const made = await create({ description: null, event_filters: null });
    expect(made).toEqual(WEBHOOK);
    const told = await create({ description: 'd', event_filters: ['a'] });
    const patched = await acme.patch(WEBHOOKS + told.id, { description: null, event_filters: null });
    expect(patched.json).toEqual({
      ...told,
      ...{ description: '', event_filters: [] },
      updated_at: WEBHOOK.updated_at,
    });
  });

  it('lists the event types that may be published, by name', async () => {
    const another = await bed.api.newTenant('Types');
    const client = await on.newClient('a', another);
    const types = [
      { name: 'v1.end_user.updated', description: 'An end user has changed.' },
      { name: 'v1.conversation.ended', description: '' },
      { name: 'v0.conversation.ended', archived: true },
    ];
    for (const type of types) expect((await another.rest.post('/v1/event-types', type)).status).toBe(201);
    expect((await client.get(`${WEBHOOKS}event-types/`)).json).toEqual({ data: [types[1], types[0]] });
  });

  it('given channels natively gets only what is tagged with one of them; another gets all', async () => {
    const client = await on.newClient('channels');
    const filtered = await create({}, client);
    const unfiltered = await create({}, client);
    await tenant.rest.patch(`/v1/endpoints/${filtered.id}`, { channels: ['A'] });
    expect((await client.get(WEBHOOKS + filtered.id)).json).toEqual({
      ...filtered,
      updated_at: WEBHOOK.updated_at,
    });
    const routedTo = async (channels?: string[]): Promise<string[]> => {
      const body = { event_type: 'v1.conversation.ended', payload: {}, channels };
      const path = '/v1/accounts/channels/messages';
      const { id } = await tenant.rest.ask<{ id: string }>('POST', path, { body });
      const [record] = await recordsOf(bed.log, id);
      return (record?.meta.routes ?? []).map(({ endpoint }) => endpoint).sort();
    };
    const both = [filtered.id, unfiltered.id].sort();
    expect(await routedTo(['A'])).toEqual(both);
    expect(await routedTo(['A', 'B'])).toEqual(both);
    expect(await routedTo(['B'])).toEqual([unfiltered.id]);
    expect(await routedTo()).toEqual([unfiltered.id]);
  });

  it('is disabled by a week of failures, and shows it; enabled by hand it is as before', async () => {
    const made = await create();
    const endpoint = { ...(await native(made)), tenant: tenant.id };
    const start = Date.parse('2026-03-01T00:00:00Z');
    const failures = [0, 24, 72, 168, 169].map((hours) =>
      healthFactOf(attemptAt(start + hours * 3_600_000, endpoint, refused)),
    );
    await bed.log.producer.append(
      failures.map((fact) => ({ topic: topics.health, ...topics.health.encode(fact) })),
    );
    const disabled = await waitFor(async () => {
      const { json } = await acme.get<Webhook>(WEBHOOKS + made.id);
      return json.enabled ? null : json;
    });
    expect(disabled).toEqual({ ...made, enabled: false, updated_at: WEBHOOK.updated_at });
    const enabled = await acme.patch(WEBHOOKS + made.id, { enabled: true });
    expect(enabled.json).toEqual({ ...made, updated_at: WEBHOOK.updated_at });
    expect(await native(made)).toMatchObject({ disabled_reason: null, health: { failing_since: null } });
  });
});
