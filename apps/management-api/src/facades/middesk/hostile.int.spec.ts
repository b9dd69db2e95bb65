import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { NewApiKey } from '@posthaste/contracts';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import {
  at,
  byKey,
  bySecret,
  created as createdBy,
  MiddeskBed,
  minimal,
  NEXT_SECRET,
  NOBODY,
  PATH,
  saidBy,
  SECRET,
  SECRETS,
} from '../../proving/middesk-bed.js';
import type { TestBed } from '../../proving/test-bed.js';

// Who may call Middesk's API, and what no honest client sends.

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

describe('a key', () => {
  const basic = (user: string, password = '') => ({
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  });

  it('is taken as a bearer token, and as the user name of HTTP Basic', async () => {
    const made = await created();
    const anonymous = bed.api.as();
    const key = client.key ?? '';
    for (const headers of [{ authorization: `Bearer ${key}` }, basic(key), basic(key, 'anything')]) {
      expect((await anonymous.get(at(made), headers)).json).toEqual(made);
    }
  });

  it.each<[string, () => Promise<Record<string, string>>, number]>([
    ['none', async () => ({}), 401],
    ['nonsense', async () => ({ authorization: 'Bearer mk_live_x' }), 401],
    ['nonsense by Basic', async () => basic('mk_live_x'), 401],
    ['Basic that is no base64', async () => ({ authorization: 'Basic %%%' }), 401],
    ['another scheme', async () => ({ authorization: 'Digest x' }), 401],
    ["a tenant's", async () => basic(tenant.key), 403],
    ["the operator's", async () => ({ authorization: `Bearer ${bed.api.operator.key}` }), 403],
    [
      'a revoked one',
      async () => {
        const keys = `/v1/tenants/${tenant.id}/keys`;
        const body = { scope: 'account', account: 'account-1' };
        const { id, key } = await bed.api.operator.ask<NewApiKey>('POST', keys, { body });
        await bed.api.operator.delete(`${keys}/${id}`);
        return basic(key);
      },
      401,
    ],
    [
      'one for other things',
      async () => basic((await bed.api.accountClient(tenant, 'account-1', ['messages:write'])).key ?? ''),
      403,
    ],
  ])('is refused when it is %s', async (_, headersOf, status) => {
    const made = await created();
    const headers = await headersOf();
    for (const [method, path] of [
      ['GET', PATH],
      ['POST', PATH],
      ['GET', at(made)],
      ['PUT', at(made)],
      ['PATCH', at(made)],
      ['DELETE', at(made)],
    ] as const) {
      const answer = await bed.api
        .as()
        .send(method, path, { headers, body: method === 'GET' ? undefined : {} });
      expect([method, path, answer.status]).toEqual([method, path, status]);
      const [said] = saidBy(answer);
      if (status !== 401) continue;
      expect(said).toBe(
        'Send a valid API key, as Authorization: Bearer <key> or as the user name of HTTP Basic.',
      );
      expect(answer.headers.get('www-authenticate')).toMatch(
        /^Basic realm="[^"]+", .*, Bearer realm="[^"]+"$/,
      );
    }
  });

  it("sees and changes no other account's webhook", async () => {
    const made = await created({ secret: SECRET });
    const strangers = [await on.newAccount()];
    const elsewhere = await bed.api.newTenant('stranger');
    await elsewhere.putAccount('x');
    strangers.push(await bed.api.accountClient(elsewhere, 'x'));
    for (const stranger of strangers) {
      for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
        const body = method === 'GET' ? undefined : { url: 'https://stranger.example/' };
        const answer = await stranger.send(method, at(made), { body });
        expect([method, answer.status]).toEqual([method, 404]);
        saidBy(answer);
      }
      const foreign = await stranger.get(`${PATH}?account=account-1`);
      expect([foreign.status, saidBy(foreign)]).toEqual([404, ['There is no such account.']]);
    }
    expect((await client.get(at(made))).json).toEqual(made);
  });

  it("cannot name another account's client at a token endpoint, whose tokens it would be given", async () => {
    const named = { ...byKey, oidc_client_id: 'theirs' };
    const made = await created(named);
    await created({ ...named, oidc_scope: 'another' });
    const stranger = await on.newAccount();
    const own = await created({ ...byKey, oidc_client_id: 'their-own' }, stranger);
    for (const oidc_token_endpoint of [
      made['oidc_token_endpoint'],
      `${String(made['oidc_token_endpoint'])}?x=1`,
      'https://IDP.example.:443/./token',
    ]) {
      const answer = await stranger.post(PATH, { ...minimal, ...named, oidc_token_endpoint });
      expect([answer.status, saidBy(answer)]).toEqual([
        422,
        ['oidc_client_id is the client of another account at this token endpoint'],
      ]);
    }
    const changed = await stranger.put(at(own), { oidc_client_id: 'theirs' });
    expect([changed.status, saidBy(changed).length]).toEqual([422, 1]);
    // A key of its own does not help: the one before signs on for a while.
    for (const oauth of [{ client_id: 'theirs' }, { client_id: 'theirs', private_key: null }]) {
      const natively = await stranger.patch<{ errors: object[] }>(`/v1/endpoints/${own.id}`, { oauth });
      expect([natively.status, natively.json.errors]).toMatchObject([422, [{ pointer: '/oauth/client_id' }]]);
    }
    // By a secret nobody can name it who does not know it.
    expect((await stranger.post(PATH, { ...minimal, ...bySecret, oidc_client_id: 'theirs' })).status).toBe(
      201,
    );
  });
});

describe('what no honest client sends', () => {
  const json = { 'content-type': 'application/json' };
  const wrong: unknown[] = [
    null,
    0,
    -1,
    1.5,
    true,
    '',
    ' ',
    [],
    [null],
    {},
    { a: 1 },
    '\u202e',
    'x'.repeat(70_000),
    [['*']],
    ['*', 7],
  ];
  const names = [
    ...['url', 'enabled_events', 'secret', 'include', 'disabled_at', 'oidc_auth_method', 'oidc_client_id'],
    ...['oidc_client_secret', 'oidc_token_endpoint', 'oidc_access_token_ttl_seconds', 'oidc_scope'],
    ...['oidc_resource_uri', '__proto__', 'constructor'],
  ];

  it.each(names)('is refused in its form, or taken, as %s', async (name) => {
    const own = await created({ secret: SECRET, ...bySecret });
    for (const value of wrong) {
      for (const [method, path, base] of [
        ['POST', PATH, { ...minimal, ...bySecret }],
        ['PUT', at(own), {}],
      ] as const) {
        const rest = Object.entries(base).filter(([other]) => other !== name);
        const members = [...rest, [name, value]].map((pair) =>
          pair.map((part) => JSON.stringify(part)).join(':'),
        );
        const body = `{${members.join()}}`;
        const answer = await client.send(method, path, { body, headers: json });
        const shown = answer.bytes.toString();
        const isTaken = value === null || typeof value === 'string' ? [200, 201] : [];
        expect([400, 422, ...isTaken]).toContain(answer.status);
        if (answer.status >= 400) saidBy(answer);
        for (const secret of SECRETS) expect(shown).not.toContain(secret);
      }
    }
  });

  it.each<[string, string, string, { body?: unknown; headers?: Record<string, string> }, number]>([
    ['a method nobody serves', 'DELETE', PATH, {}, 405],
    ['another one', 'POST', `${PATH}/${NOBODY}`, { body: {} }, 405],
    ['a path nobody serves', 'GET', `${PATH}/${NOBODY}/x`, {}, 404],
    ['no UUID', 'GET', `${PATH}/x`, {}, 404],
    ['an id of ours', 'GET', `${PATH}/ep_2KWPBgLlAfxdpx2AI54pPJ85f4W`, {}, 404],
    ['NUL for an id', 'GET', `${PATH}/%00`, {}, 404],
    ['no UTF-8', 'GET', `${PATH}/%ff`, {}, 400],
    ['a long id', 'GET', `${PATH}/${'a'.repeat(8_000)}`, {}, 404],
    ['page 0', 'GET', `${PATH}?page=0`, {}, 400],
    ['a page that is none', 'GET', `${PATH}?page=x`, {}, 400],
    ['a page beyond', 'GET', `${PATH}?page=1e300`, {}, 400],
    ['too much per page', 'GET', `${PATH}?per_page=1000`, {}, 400],
    ['page twice', 'GET', `${PATH}?page=1&page=2`, {}, 400],
    ['a parameter that is none', 'GET', `${PATH}?limit=5`, {}, 400],
    ['no body', 'POST', PATH, {}, 422],
    ['no JSON', 'POST', PATH, { body: '{', headers: json }, 400],
    ['a list', 'POST', PATH, { body: '[]', headers: json }, 422],
    ['nothing at all', 'POST', PATH, { body: 'null', headers: json }, 422],
    [
      'a form',
      'POST',
      PATH,
      { body: 'url=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
    ],
    ['text', 'PUT', `${PATH}/${NOBODY}`, { body: 'x', headers: { 'content-type': 'text/plain' } }, 415],
    ['a name twice', 'POST', PATH, { body: '{"url":"a","url":"b"}', headers: json }, 400],
    ['two megabytes', 'POST', PATH, { body: `"${'x'.repeat(2_000_000)}"`, headers: json }, 413],
  ])('is refused in its form: %s', async (_, method, path, request, status) => {
    const answer = await client.send(method, path, request);
    expect(answer.status).toBe(status);
    saidBy(answer);
  });
});

it('keeps no secret where it can be read', async () => {
  const made = await created({ ...bySecret, secret: SECRET });
  await client.put(at(made), { secret: NEXT_SECRET });
  const shown = (await Promise.all([client.get(PATH), client.get(at(made))])).map(({ bytes }) =>
    bytes.toString(),
  );
  const { rows } = await bed.database.query<{ row: string }>(
    `select row::text from config.endpoint row union all select row::text from config.entity_version row
     union all select row::text from config.audit_entry row union all select row::text from config.shared_key row`,
  );
  const stored = [...shown, ...rows.map(({ row }) => row)].join('\n');
  expect(stored).toContain(made.id);
  for (const secret of SECRETS) expect(stored).not.toContain(secret);
});
