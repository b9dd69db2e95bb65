import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import { recordsOf } from '../../proving/logged-messages.js';
import {
  at,
  byKey,
  bySecret,
  CLIENT_SECRET,
  created as createdBy,
  MiddeskBed,
  minimal,
  NEXT_SECRET,
  NOBODY,
  oidc,
  PATH,
  saidBy,
  SECRET,
  SECRETS,
  url,
  type Webhook,
} from '../../proving/middesk-bed.js';
import type { TestBed } from '../../proving/test-bed.js';

// Middesk's API as its documents have it, a row for each line of them. Keys, and what no honest client sends, are in
// hostile.int.spec.ts.

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const noOidc = {
  oidc_auth_method: null,
  oidc_client_id: null,
  oidc_token_endpoint: null,
  oidc_access_token_ttl_seconds: null,
  oidc_scope: null,
  oidc_resource_uri: null,
};

let on: MiddeskBed;
let bed: TestBed;
let tenant: TenantClient;
let client: RestClient;
beforeAll(async () => {
  on = await MiddeskBed.start();
  ({ bed, tenant } = on);
  client = await on.newAccount();
}, 60_000);
afterAll(() => on.stop());

const created = (fields: object = {}, as = client) => createdBy(as, fields);

describe('creating a webhook', () => {
  it('answers 201 with every field of a webhook and no other', async () => {
    const made = await created({ secret: SECRET });
    expect(made).toEqual({
      ...{ object: 'webhook', id: expect.stringMatching(UUID), url, enabled_events: ['*'], include: null },
      ...noOidc,
      ...{ created_at: expect.stringMatching(TIME), updated_at: made.created_at, disabled_at: null },
      oauth_client_id: null,
    });
    expect((await client.get(at(made))).json).toEqual(made);
  });

  it.each<[string, object, object]>([
    ['events by name', { enabled_events: ['business.created', 'tin.retried'] }, {}],
    ['all events', { enabled_events: ['*'] }, {}],
    ['all associations, by a star', { include: '*' }, {}],
    ['scalars only', { include: 'identifiers' }, {}],
    ['some associations, as they were written', { include: 'names, addresses,watchlist' }, {}],
    ['a private key', { ...byKey, oidc_client_id: 'x' }, {}],
    [
      'a private key, scope and resource',
      { ...byKey, oidc_scope: 'api://x/.default', oidc_resource_uri: 'urn:x' },
      {},
    ],
    ['a client secret', bySecret, { oidc_client_secret: undefined }],
    ['disabled', { disabled_at: '2026-01-02T03:04:05.000Z' }, {}],
    [
      'disabled, by another clock',
      { disabled_at: '2026-01-02T05:04:05+02:00' },
      { disabled_at: '2026-01-02T03:04:05.000Z' },
    ],
    ['a url without a path', { url: 'https://Receiver.example' }, {}],
    ['a url with other letters', { url: 'https://Receiver.example:443/ü/../ö?q=ä%20b' }, {}],
    [
      'a host of other letters as it is called',
      { url: 'https://аpple.com' },
      { url: 'https://xn--pple-43d.com/' },
    ],
    ['a token endpoint as it was written', { ...byKey, oidc_token_endpoint: 'https://IDP.example:443' }, {}],
    ['associations of other objects', { include: 'subproducts,officers' }, {}],
    ['no secret, by an empty text', { secret: '' }, { secret: undefined }],
    ['no secret, by null', { secret: null }, { secret: undefined }],
    [
      'nothing, by empty texts',
      { include: '', disabled_at: '', oidc_auth_method: '', oidc_scope: '', oidc_client_secret: '' },
      { include: null, disabled_at: null, ...noOidc, oidc_client_secret: undefined },
    ],
    [
      'fields of another webhook',
      { id: NOBODY, object: 'webhook', oauth_client_id: null },
      { id: expect.stringMatching(UUID) },
    ],
  ])('gives %s back as said', async (_, fields, otherwise) => {
    const made = await created(fields);
    const shown = Object.entries({ ...fields, ...otherwise }).filter(
      ([name]) => name !== 'oidc_client_secret' && name !== 'secret',
    );
    expect(made).toMatchObject(Object.fromEntries(shown));
    expect((await client.get(at(made))).json).toEqual(made);
  });

  it.each<[string, Record<string, unknown>, string[]]>([
    ['no url', { url: undefined }, ['url']],
    ['no enabled_events', { enabled_events: undefined }, ['enabled_events']],
    ['neither', { url: undefined, enabled_events: undefined }, ['url', 'enabled_events']],
    ['no events in enabled_events', { enabled_events: [] }, ['enabled_events']],
    ['an event that is none', { enabled_events: ['business created'] }, ['enabled_events.0']],
    ['a pattern of events', { enabled_events: ['order.*'] }, ['enabled_events.0']],
    ['a url that is none', { url: 'nonsense' }, ['url']],
    ['a url inside', { url: 'https://10.0.0.1/' }, ['url']],
    ['an unknown association', { include: 'names,nonsense' }, ['include']],
    ['nothing to include', { include: ' , ' }, ['include']],
    ['a short secret', { secret: 'short' }, ['secret']],
    ['a long secret', { secret: 'x'.repeat(257) }, ['secret']],
    ['an unknown method', { ...byKey, oidc_auth_method: 'magic' }, ['oidc_auth_method']],
    ['no client id', { ...byKey, oidc_client_id: undefined }, ['oidc_client_id']],
    ['no token endpoint', { ...byKey, oidc_token_endpoint: undefined }, ['oidc_token_endpoint']],
    ['no ttl', { ...byKey, oidc_access_token_ttl_seconds: undefined }, ['oidc_access_token_ttl_seconds']],
    [
      'a method alone',
      { oidc_auth_method: 'private_key_jwt' },
      ['oidc_client_id', 'oidc_token_endpoint', 'oidc_access_token_ttl_seconds'],
    ],
    ['no client secret', { ...bySecret, oidc_client_secret: undefined }, ['oidc_client_secret']],
    ['an empty client secret', { ...bySecret, oidc_client_secret: '' }, ['oidc_client_secret']],
    ['an empty client id', { ...byKey, oidc_client_id: '' }, ['oidc_client_id']],
    ['an empty url', { url: '' }, ['url']],
    ['a client secret too many', { ...byKey, oidc_client_secret: CLIENT_SECRET }, ['oidc_client_secret']],
    ['no method', oidc, ['oidc_auth_method']],
    ['a scope alone', { oidc_scope: 'x' }, ['oidc_auth_method']],
    ['a client secret alone', { oidc_client_secret: CLIENT_SECRET }, ['oidc_auth_method']],
    [
      'a token endpoint inside',
      { ...byKey, oidc_token_endpoint: 'http://169.254.169.254/' },
      ['oidc_token_endpoint'],
    ],
    ['a scope that is none', { ...byKey, oidc_scope: 'a  b' }, ['oidc_scope']],
    ['a resource that is none', { ...byKey, oidc_resource_uri: 'nonsense' }, ['oidc_resource_uri']],
    ['a ttl of nothing', { ...byKey, oidc_access_token_ttl_seconds: 0 }, ['oidc_access_token_ttl_seconds']],
    ['a field that is none', { retries: 3 }, ['retries']],
    ['a time that is none', { disabled_at: 'yesterday' }, ['disabled_at']],
  ])('answers 422 for %s', async (_, fields, named) => {
    const answer = await client.post(PATH, { ...minimal, ...fields });
    expect(answer.status).toBe(422);
    expect(saidBy(answer).map((message) => message.split(' ')[0])).toEqual(named);
  });

  it('makes an endpoint of profile middesk that is retried as Middesk does, and found under its id', async () => {
    const { id } = await created({ enabled_events: ['business.created'], include: 'names' });
    expect(await tenant.rest.ask('GET', `/v1/endpoints/${id}`)).toMatchObject({
      ...{ uid: id, profile: 'middesk', mode: 'push', event_types: ['business.created'], include: ['names'] },
      ...{ retry_policy: { preset: 'middesk' }, timeout_seconds: 15, enabled: true },
    });
    const other = await created({
      include: 'identifiers',
      ...byKey,
      oidc_scope: 's',
      oidc_resource_uri: 'urn:x',
    });
    expect(await tenant.rest.ask('GET', `/v1/endpoints/${other.id}`)).toMatchObject({
      ...{ event_types: [], include: [] },
      oauth: {
        ...{ method: 'private_key_jwt', alg: 'RS256', client_id: 'us', assertion_audience: 'token_endpoint' },
        ...{ scope: 's', resource: ['urn:x'], max_token_ttl_seconds: 600 },
      },
    });
    const third = await created(bySecret);
    expect(await tenant.rest.ask('GET', `/v1/endpoints/${third.id}`)).toMatchObject({
      ...{ include: null, oauth: { method: 'client_secret_post' } },
    });
  });
});

describe('listing webhooks', () => {
  it('goes by page and per_page, the newest first, and counts them', async () => {
    const own = await on.newAccount();
    const path = (query: string) => `${PATH}${query}`;
    expect((await own.get(PATH)).json).toEqual({ object: 'list', data: [], has_more: false, total_count: 0 });
    const made = [await created({}, own), await created({}, own), await created({}, own)].reverse();
    const page = (data: Webhook[], has_more: boolean) => ({ object: 'list', data, has_more, total_count: 3 });
    expect((await own.get(PATH)).json).toEqual(page(made, false));
    expect((await own.get(path('?per_page=2'))).json).toEqual(page(made.slice(0, 2), true));
    expect((await own.get(path('?page=2&per_page=2'))).json).toEqual(page(made.slice(2), false));
    expect((await own.get(path('?page=9'))).json).toEqual(page([], false));
    expect((await own.get(path(`?account=${on.newest}`))).json).toEqual(page(made, false));
  });

  it('shows no endpoint that a client could not call by its id', async () => {
    const own = await on.newAccount();
    const path = `/v1/accounts/${on.newest}/endpoints`;
    for (const fields of [{}, { profile: 'middesk' }, { uid: NOBODY }, { profile: 'middesk', uid: 'x' }]) {
      expect((await tenant.rest.post(path, { url, ...fields })).status).toBe(201);
    }
    expect((await own.get(PATH)).json).toMatchObject({ data: [], total_count: 0 });
    expect((await own.get(at({ id: NOBODY }))).status).toBe(404);
  });
});

describe.each(['PUT', 'PATCH'])('changing a webhook by %s', (method) => {
  const change = (webhook: Webhook, body: unknown, as = client) =>
    as.send<Webhook>(method, at(webhook), { body });

  it('leaves what is not said, and nothing said changes nothing', async () => {
    const made = await created({ ...bySecret, include: 'names', secret: SECRET });
    const same = await change(made, {});
    expect([same.status, same.json]).toEqual([200, made]);
    expect((await change(made, made)).json).toEqual(made);
    const moved = await change(made, { url: `${url}/2` });
    expect(moved.json).toEqual({ ...made, url: `${url}/2`, updated_at: moved.json.updated_at });
  });

  it.each<[string, object]>([
    ['events', { enabled_events: ['business.updated'] }],
    ['all events', { enabled_events: ['*'] }],
    ['associations', { include: 'tin ,liens' }],
    ['scalars only', { include: 'identifiers' }],
    ['all associations', { include: null }],
    ['a ttl', { oidc_access_token_ttl_seconds: 60 }],
    ['a scope', { oidc_scope: 'a b' }],
    ['no scope', { oidc_scope: null }],
    ['another client', { oidc_client_id: 'them' }],
    ['a private key for a client secret', { oidc_auth_method: 'private_key_jwt', oidc_client_id: 'other' }],
    ['no oidc', { oidc_auth_method: null }],
  ])('takes %s', async (_, fields) => {
    const made = await created({ ...bySecret, oidc_scope: 'one', enabled_events: ['tin.retried'] });
    const ended = 'oidc_auth_method' in fields && fields.oidc_auth_method === null ? noOidc : {};
    const { status, json } = await change(made, fields);
    expect([status, json]).toEqual([200, { ...made, ...fields, ...ended, updated_at: json.updated_at }]);
    expect((await client.get(at(made))).json).toEqual(json);
  });

  it.each<[string, object, string]>([
    ['an unknown association', { include: 'nonsense' }, 'include'],
    ['a needed field taken away', { oidc_client_id: null }, 'oidc_client_id'],
    [
      'another token endpoint without the secret',
      { oidc_token_endpoint: 'https://b.example/' },
      'oidc_client_secret',
    ],
    ['a client secret taken away', { oidc_client_secret: null }, 'oidc_client_secret'],
    ['a client secret emptied', { oidc_client_secret: '' }, 'oidc_client_secret'],
    ['a url inside', { url: 'http://10.0.0.1/' }, 'url'],
    ['no events', { enabled_events: [] }, 'enabled_events'],
    ['a short secret', { secret: 'x' }, 'secret'],
    ['a time that is none', { disabled_at: 5 }, 'disabled_at'],
  ])('answers 422 for %s, and leaves it as it was', async (_, fields, named) => {
    const made = await created(bySecret);
    const answer = await change(made, fields);
    expect([answer.status, saidBy(answer)[0]?.split(' ')[0]]).toEqual([422, named]);
    expect((await client.get(at(made))).json).toEqual(made);
  });

  it('loses none of several changes at once', async () => {
    const made = await created(bySecret);
    const changes = [
      { oidc_scope: 'a' },
      { oidc_resource_uri: 'urn:b' },
      { include: 'tin' },
      { secret: SECRET },
    ];
    const answers = await Promise.all(changes.map((fields) => change(made, fields)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect((await client.get(at(made))).json).toMatchObject({ ...changes[0], ...changes[1], ...changes[2] });
  });

  const secretsOf = async ({ id }: Webhook): Promise<string[]> => {
    const { rows } = await bed.database.query<{ secrets: { id: string }[] }>(
      'select secrets from config.endpoint where uid = $1',
      [id],
    );
    return rows.flatMap(({ secrets }) => secrets.map((secret) => secret.id));
  };

  it('replaces the secret at once, which is shown nowhere', async () => {
    const made = await created({ secret: SECRET });
    const [first] = await secretsOf(made);
    expect((await change(made, { secret: NEXT_SECRET })).status).toBe(200);
    const now = await secretsOf(made);
    expect([now.length, now.includes(first ?? '')]).toEqual([1, false]);
    const path = `/v1/endpoints/${made.id}/secret`;
    const revealed = await tenant.rest.get<{ code: string; errors: object[] }>(path);
    expect([revealed.status, revealed.json]).toMatchObject([409, { errors: [{ code: 'write_only' }] }]);
    for (const secret of SECRETS) expect(revealed.bytes.toString()).not.toContain(secret);
    expect((await tenant.rest.post(`${path}/rotate`, {})).status).toBe(204);
    expect((await tenant.rest.get<{ key: string }>(path)).json.key).toMatch(/^[\x21-\x7e]{8,}$/);
  });

  it.each([null, ''])(
    'takes the secret away with %j, and that of a webhook without changes nothing',
    async (secret) => {
      const made = await created({ secret: SECRET });
      const ended = await change(made, { secret });
      expect([ended.status, await secretsOf(made)]).toEqual([200, []]);
      expect((await change(made, { secret })).json).toEqual(ended.json);
    },
  );

  it('takes the same URLs, however they are written, for no change', async () => {
    const said = {
      url: 'https://RECEIVER.example',
      oidc_token_endpoint: 'https://IDP.example:443/a/../token',
    };
    const made = await created({ ...bySecret, ...said });
    expect(made).toMatchObject(said);
    expect((await change(made, said)).json).toEqual(made);
  });

  it('keeps the client secret of a token endpoint that is only written in another way', async () => {
    const made = await created(bySecret);
    const oidc_token_endpoint = 'https://IDP.example/token';
    const { status, json } = await change(made, { oidc_token_endpoint });
    expect([status, json.oidc_token_endpoint]).toEqual([200, oidc_token_endpoint]);
  });

  it('takes a client secret alone', async () => {
    const made = await created(bySecret);
    const { status, json } = await change(made, { oidc_client_secret: NEXT_SECRET });
    expect([status, json]).toEqual([200, { ...made, updated_at: json.updated_at }]);
    expect(json.updated_at).not.toBe(made.updated_at);
  });

  it('has nothing to take away from a client by key', async () => {
    const made = await created(byKey);
    for (const oidc_client_secret of [null, '']) {
      expect((await change(made, { oidc_client_secret })).json).toEqual(made);
    }
  });

  it('goes on when our own API has left the oidc fields incomplete, as long as they are not touched', async () => {
    const made = await created(bySecret);
    await tenant.rest.ask('PATCH', `/v1/endpoints/${made.id}`, {
      body: { oauth: { max_token_ttl_seconds: null } },
    });
    const moved = await change(made, { url: `${url}/2` });
    expect([moved.status, moved.json.oidc_access_token_ttl_seconds]).toEqual([200, null]);
    expect((await change(made, moved.json)).json).toEqual(moved.json);
    const refused = await change(made, { oidc_scope: 'a' });
    expect([refused.status, saidBy(refused).map((message) => message.split(' ')[0])]).toEqual([
      422,
      ['oidc_access_token_ttl_seconds'],
    ]);
  });

  it('leaves what our own API has set and such a client cannot see', async () => {
    const made = await created({ ...byKey, oidc_resource_uri: 'urn:a' });
    const native = `/v1/endpoints/${made.id}`;
    type Native = { oauth: { kid: string; alg: string; method: string; assertion_audience: string } };
    const natively = await tenant.rest.ask<Native>('PATCH', native, {
      body: {
        oauth: {
          private_key: null,
          alg: 'ES256',
          resource: ['urn:a', 'urn:b'],
          assertion_audience: 'urn:us',
        },
      },
    });
    expect((await change(made, { oidc_scope: 'a' })).status).toBe(200);
    expect((await tenant.rest.ask<Native>('GET', native)).oauth).toEqual({ ...natively.oauth, scope: 'a' });
    // A key belongs to its token endpoint.
    expect((await change(made, { oidc_token_endpoint: 'https://other.example/token' })).status).toBe(200);
    expect((await tenant.rest.ask<Native>('GET', native)).oauth).toMatchObject({
      ...{ alg: 'RS256', assertion_audience: 'token_endpoint', resource: ['urn:a', 'urn:b'] },
    });
    const basic = await created(bySecret);
    const body = { oauth: { method: 'client_secret_basic' } };
    await tenant.rest.ask('PATCH', `/v1/endpoints/${basic.id}`, { body });
    expect((await change(basic, { oidc_scope: 'a' })).status).toBe(200);
    expect(await tenant.rest.ask('GET', `/v1/endpoints/${basic.id}`)).toMatchObject(body);
  });

  it('routes no message to it from disabled_at on, and again from null on', async () => {
    const own = await on.newAccount();
    const account = on.newest;
    const made = await created({}, own);
    const routesOfNext = async () => {
      const { id } = await tenant.publish(account, 'business.created', {});
      const [record] = await recordsOf(bed.log, id);
      return record?.meta.routes.length;
    };
    expect(await routesOfNext()).toBe(1);
    const disabled_at = '2026-02-03T04:05:06.000Z';
    expect((await change(made, { disabled_at }, own)).json).toMatchObject({ disabled_at });
    expect(await routesOfNext()).toBe(0);
    expect((await change(made, { url: `${url}/2` }, own)).json).toMatchObject({ disabled_at });
    expect((await change(made, { disabled_at: null }, own)).json).toMatchObject({ disabled_at: null });
    expect(await routesOfNext()).toBe(1);
  });
});

it('shows when it was disabled by somebody else', async () => {
  const made = await created();
  await tenant.rest.ask('POST', `/v1/endpoints/${made.id}/disable`);
  const { json } = await client.get<Webhook>(at(made));
  expect(json.disabled_at).toBe(json.updated_at);
});

it('is gone once it is deleted, which answers 200', async () => {
  const made = await created();
  const answer = await client.delete(at(made));
  expect([answer.status, answer.json]).toEqual([200, made]);
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const again = await client.send(method, at(made), method === 'PUT' ? { body: {} } : {});
    expect([method, again.status, saidBy(again)]).toEqual([method, 404, ['There is no such webhook.']]);
  }
});
