import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import {
  type ReceivedRequest,
  type Receiver,
  RestClient,
  type SeenAttempt,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { createLocalJWKSet, createRemoteJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import pg from 'pg';
import { ACCOUNT, WEBHOOKS, withMiddeskParties } from './middesk-parties.js';
import { type ServerClient, TokenServer } from './token-server.js';
import { itOn } from './test-stack.js';

// Webhooks of Middesk whose receivers want a token of a certified authorization server that is not ours, and that knows
// us by what `oidc_keys` shows.

const RESOURCE = 'https://receiver.example/hooks';
const KEYS = `${WEBHOOKS}/oidc_keys`;
const CLIENT_SECRET = 'a client secret/with:odd+chars';
const NEXT_CLIENT_SECRET = 'the client secret after it';
const METHODS = ['private_key_jwt', 'client_secret'] as const;
type Method = (typeof METHODS)[number];

let stack: Stack;
let receiver: Receiver;
let tenant: TenantClient;
let client: RestClient;
let server: TokenServer;
const it = itOn(() => stack);
withMiddeskParties((parties) => ({ stack, receiver, tenant, client } = parties));

beforeAll(async () => {
  // It does not fetch a key set from loopback.
  const jwks = await client.ask<JSONWebKeySet>('GET', KEYS);
  const byKey = {
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'RS256',
    jwks,
  };
  const bySecret = { token_endpoint_auth_method: 'client_secret_post', client_secret: CLIENT_SECRET };
  const clients: ServerClient[] = ['', '-many', '-short', '-away'].flatMap((suffix) => [
    { client_id: `private_key_jwt${suffix}`, ...byKey },
    { client_id: `client_secret${suffix}`, ...bySecret },
  ]);
  clients.push({ client_id: 'changed', ...bySecret, client_secret: NEXT_CLIENT_SECRET });
  server = await TokenServer.start(clients, RESOURCE);
}, 60_000);
afterAll(() => server.stop(), 60_000);

/** A webhook by a method, with events of its own; `suffix` tells clients of the server apart. */
function created(path: string, method: Method, fields: object = {}, suffix = ''): Promise<{ id: string }> {
  const body = {
    ...{ url: receiver.url(path), enabled_events: [typeOf(path)], secret: 'the-secret-of-the-webhook' },
    ...{ oidc_auth_method: method, oidc_client_id: method + suffix, oidc_token_endpoint: server.tokenUrl },
    ...{ oidc_scope: 'deliver', oidc_resource_uri: RESOURCE, oidc_access_token_ttl_seconds: 60 },
    ...(method === 'client_secret' && { oidc_client_secret: CLIENT_SECRET }),
    ...fields,
  };
  return client.ask('POST', WEBHOOKS, { body });
}

const typeOf = (path: string) => `at${path.replaceAll('/', '.')}`;
const publishTo = (path: string) =>
  tenant.publish(ACCOUNT, typeOf(path), { object: 'business', id: 'b', name: 'A' });

async function arrived(path: string, count = 1): Promise<ReceivedRequest> {
  const requests = await receiver.whenReceived(count, (request) => request.path === path);
  return requests[count - 1] as ReceivedRequest;
}

const bearer = ({ headers }: ReceivedRequest): string => headers.authorization?.slice('Bearer '.length) ?? '';

async function attemptsAt(path: string, count: number): Promise<SeenAttempt[]> {
  return waitFor(
    async () => {
      const [delivery] = await tenant.deliveries(ACCOUNT, `?event_type=${typeOf(path)}`);
      const attempts = delivery ? await tenant.attempts(delivery.id) : [];
      return attempts.length >= count && attempts;
    },
    { what: `${count} attempts at ${path}`, everyMs: 100 },
  );
}

/** How often token servers gave a token. */
async function tokensGiven(): Promise<number> {
  const metrics = await (await fetch(`${stack.opsUrl('dispatcher')}/metrics`)).text();
  const line = metrics.split('\n').find((one) => /^posthaste_token_requests.*outcome="token"/.test(one));
  return Number(line?.split(' ').at(-1));
}

/** Has a path of the receiver give tokens; whoever wants none for longer than a moment asks for each request. */
function planTokens(path: string, lastsSeconds = 3_600): string[] {
  const given: string[] = [];
  receiver.plan({
    path,
    answers: () => {
      const access_token = randomBytes(32).toString('base64url');
      given.push(access_token);
      const body = JSON.stringify({ access_token, token_type: 'Bearer', expires_in: lastsSeconds });
      return { status: 200, body };
    },
  });
  return given;
}

describe.each(METHODS)('by %s', (method) => {
  it('carries a token of the server', async () => {
    const path = `/${method}`;
    await created(path, method);
    await publishTo(path);
    const { issuer } = server;
    const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
    const { payload } = await jwtVerify(bearer(await arrived(path)), keys, { issuer, audience: RESOURCE });
    expect(payload).toMatchObject({ client_id: method, scope: 'deliver' });
  });

  it('asks for one token for a hundred deliveries at once', async () => {
    const path = `/${method}/many`;
    await created(path, method, {}, '-many');
    const before = await tokensGiven();
    await Promise.all(Array.from({ length: 100 }, () => publishTo(path)));
    await arrived(path, 100);
    const tokens = receiver.at(path).map(bearer);
    expect([tokens.length, new Set(tokens).size, await tokensGiven()]).toEqual([100, 1, before + 1]);
  });

  it('asks for another one when the time set for it is over', async () => {
    const path = `/${method}/short`;
    await created(path, method, { oidc_access_token_ttl_seconds: 1 }, '-short');
    const tokens = await waitFor(
      async () => {
        await publishTo(path);
        const seen = new Set(receiver.at(path).map(bearer));
        return seen.size > 1 && seen;
      },
      { what: 'another token', everyMs: 200 },
    );
    expect([...tokens].every((token) => token !== '')).toBe(true);
  });

  it('fails while the server is down, is retried, and succeeds when it is back', async () => {
    const path = `/${method}/away`;
    await created(path, method, {}, '-away');
    await server.stop();
    await publishTo(path);
    try {
      const [first] = await attemptsAt(path, 1);
      expect(first).toMatchObject({
        ...{ number: 1, outcome: 'failed', error: { class: 'auth_token_unreachable' }, response: null },
        next_attempt_at: expect.any(String),
      });
      expect(receiver.at(path)).toEqual([]);
    } finally {
      await server.startAgain();
    }
    const [, second] = await attemptsAt(path, 2);
    expect(second).toMatchObject({ number: 2, outcome: 'succeeded', error: null });
    expect(receiver.at(path)).toHaveLength(1);
  });

  it('asks once for another token after a 401, and then fails', async () => {
    const path = `/${method}/refused`;
    const tokens = planTokens(`${path}/token`);
    receiver.plan({ path, answers: [401] });
    await created(path, method, { oidc_token_endpoint: receiver.url(`${path}/token`) });
    await publishTo(path);
    const [first] = await attemptsAt(path, 1);
    expect(first).toMatchObject({
      ...{ outcome: 'failed', error: { class: 'http_status' }, response: { status: 401 } },
      next_attempt_at: expect.any(String),
    });
    expect(tokens).toHaveLength(2);
    expect(receiver.at(path).map(bearer)).toEqual(tokens);
  });
});

it('takes a new client secret alone, and uses it', async () => {
  const path = '/changed';
  const { id } = await created(path, 'client_secret', { oidc_client_id: 'changed' });
  await client.ask('PUT', `${WEBHOOKS}/${id}`, { body: { oidc_client_secret: NEXT_CLIENT_SECRET } });
  await publishTo(path);
  expect(bearer(await arrived(path))).not.toBe('');
  expect((await attemptsAt(path, 1)).map(({ outcome }) => outcome)).toEqual(['succeeded']);
});

describe('the keys', () => {
  let database: pg.Client;
  beforeAll(async () => {
    database = new pg.Client(stack.databaseUrl);
    await database.connect();
  });
  afterAll(() => database.end());

  const shown = async (): Promise<JSONWebKeySet> => new RestClient(stack.url).ask('GET', KEYS);
  const kidsOf = ({ keys }: JSONWebKeySet) => keys.map(({ kid }) => kid);

  /** As the customer wrote it, which is whom an assertion is for. */
  const registeredAs = (path: string) => receiver.url(path).replace('http:', 'HTTP:');

  /** Lets a part of a key's year go by, and has what is then due be done: as a start does it. */
  async function passed(days: number): Promise<void> {
    await database.query(`update config.shared_key set created_at = created_at - $1 * interval '1 day'`, [
      days,
    ]);
    await stack.process('management-api').stop();
    await stack.process('management-api').start();
    await stack.waitReady();
  }

  /** The assertion of the next delivery, and who signed it according to what is shown then. */
  async function nextAssertion(
    path: string,
    client_id: string,
  ): Promise<{ text: string; kid: string | undefined }> {
    const tokenPath = `${path}/token`;
    const [before, hooksBefore] = [receiver.at(tokenPath).length, receiver.at(path).length];
    await publishTo(path);
    await arrived(path, hooksBefore + 1);
    const form = Object.fromEntries(
      new URLSearchParams((await arrived(tokenPath, before + 1)).body.toString()),
    );
    expect(form).toMatchObject({
      ...{ grant_type: 'client_credentials', scope: 'deliver', resource: RESOURCE },
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    });
    const text = form['client_assertion'] ?? '';
    return { text, kid: await signerOf(text, await shown(), tokenPath, client_id) };
  }

  async function signerOf(text: string, jwks: JSONWebKeySet, tokenPath: string, clientId: string) {
    const { protectedHeader, payload } = await jwtVerify(text, createLocalJWKSet(jwks), {
      ...{ audience: registeredAs(tokenPath), issuer: clientId, subject: clientId },
      ...{ requiredClaims: ['jti', 'exp'], maxTokenAge: 300 },
    });
    expect((payload.exp ?? Infinity) - (payload.iat ?? 0)).toBeLessThanOrEqual(300);
    const key = jwks.keys.find(({ kid }) => kid === protectedHeader.kid);
    expect(protectedHeader).toMatchObject({ alg: 'RS256', x5t: key?.['x5t'] });
    return protectedHeader.kid;
  }

  it('verify every assertion made before, while and after one follows another', async () => {
    const make = async (path: string) => {
      planTokens(`${path}/token`, 1);
      await created(path, 'private_key_jwt', {
        oidc_token_endpoint: registeredAs(`${path}/token`),
        oidc_client_id: 'us',
      });
    };
    await make('/rolling');
    const [old] = kidsOf(await shown());
    const first = await nextAssertion('/rolling', 'us');
    expect(first.kid).toBe(old);

    await passed(336);
    const announced = await waitFor(async () => (await shown()).keys.length === 2 && shown(), {
      what: 'the next key',
    });
    const [next] = kidsOf(announced);
    expect(kidsOf(announced)).toEqual([next, old]);
    const second = await nextAssertion('/rolling', 'us');
    expect(second.kid).toBe(old);

    await passed(31);
    await waitFor(
      async () => {
        const sql = 'select 1 from config.shared_key where retired_at is not null';
        return (await database.query(sql)).rowCount === 1;
      },
      { what: 'the old key retired' },
    );
    // The one that was there signs with the old key until every server must have read the new one; a new one does not.
    await make('/rolled');
    const [third, fourth] = [await nextAssertion('/rolling', 'us'), await nextAssertion('/rolled', 'us')];
    expect([third.kid, fourth.kid]).toEqual([old, next]);
    const jwks = await shown();
    for (const { text } of [first, second, third]) {
      expect(await signerOf(text, jwks, '/rolling/token', 'us')).toBe(old);
    }

    await database.query(`update config.shared_key set retired_at = retired_at - interval '16 minutes'`);
    await waitFor(async () => (await shown()).keys.length === 1, { what: 'the old key gone' });
    expect(await signerOf(fourth.text, await shown(), '/rolled/token', 'us')).toBe(next);
    await expect(signerOf(third.text, await shown(), '/rolling/token', 'us')).rejects.toMatchObject({
      code: 'ERR_JWKS_NO_MATCHING_KEY',
    });
  }, 120_000);
});
