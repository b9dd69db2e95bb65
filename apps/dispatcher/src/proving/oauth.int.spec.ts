import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, jest } from '@jest/globals';
import type { EndpointState, OAuthClient, PublicJwk } from '@posthaste/contracts';
import type { ReceivedRequest, Receiver } from '@posthaste/test-kit';
import { createLocalJWKSet, jwtVerify } from 'jose';
import type { Stage } from './stage.js';
import { bearer, deliverTo, withTokenParties } from './token-parties.js';

// Deliveries to receivers that want an access token, from the log to the log. The token server gives random tokens and
// the receivers take only those that are still good, so nothing passes by accident.

jest.setTimeout(30_000);

const SECRET = 'the-client-secret-of-the-test';

let stage: Stage;
let server: Receiver;
let receiver: Receiver;
let issued: string[];
let good: Set<string>;
withTokenParties((parties) => ({ stage, server, receiver, issued, good } = parties));

function newToken(): string {
  const token = randomBytes(48).toString('base64');
  issued.push(token);
  good.add(token);
  return token;
}

const issue = () => ({
  status: 200,
  body: JSON.stringify({ access_token: newToken(), token_type: 'Bearer', expires_in: 3_600 }),
});
/** As an echo server does it: what it was sent is in its answer, as it is and encoded. */
const echo = (request: ReceivedRequest, status: number) => ({
  status,
  body: JSON.stringify({ sent: request.headers, query: encodeURIComponent(bearer(request)) }),
  headers: { 'x-echo': bearer(request) },
});

let paths = 0;
/** An endpoint with a token server of its own; its receiver answers 200 to good tokens and 401 to others. */
async function endpoint(fields: Partial<OAuthClient> = {}, own: Partial<EndpointState> = {}) {
  const tokenPath = `/token-${++paths}`;
  const path = `/hook-${paths}`;
  server.plan({ path: tokenPath, answers: issue });
  receiver.plan({ path, answers: (request) => echo(request, good.has(bearer(request)) ? 200 : 401) });
  const oauth: Omit<OAuthClient, 'credential'> = {
    ...{ tokenUrl: server.url(tokenPath), clientId: 'us', method: 'client_secret_basic', key: null },
    ...{ scope: null, resource: [], audience: null, assertionAudience: null, ...fields },
  };
  const state = await stage.configureOAuthEndpoint(receiver.url(path), SECRET, oauth, own);
  return { state, path, tokenPath };
}

describe('a delivery with an access token', () => {
  it('carries it, and keeps none of it', async () => {
    const { state, path } = await endpoint();
    const attempt = await deliverTo(stage, state);
    expect(attempt).toMatchObject({ outcome: 'succeeded', decision: { kind: 'delivered' } });
    const [request] = receiver.at(path);
    const [token = ''] = issued;
    expect(request?.headers.authorization).toBe(`Bearer ${token}`);
    expect(attempt?.request.headers['authorization']).toBe('Bear... (71 characters)');
    expect(attempt?.response?.headers['x-echo']).toBe('[hidden]');
    const body = Buffer.from(attempt?.response?.body ?? '', 'base64').toString();
    expect(JSON.parse(body)).toMatchObject({ sent: { authorization: 'Bearer [hidden]' }, query: '[hidden]' });
    const everything = JSON.stringify(attempt) + body;
    for (const secret of [token, encodeURIComponent(token), SECRET]) expect(everything).not.toContain(secret);
  });

  it('keeps nothing of a compressed answer, in which it could not be found', async () => {
    const { state, path } = await endpoint();
    receiver.plan({
      path,
      answers: (request) => ({
        status: 200,
        body: gzipSync(bearer(request)).toString('latin1'),
        headers: { 'content-encoding': 'gzip' },
      }),
    });
    const attempt = await deliverTo(stage, state);
    expect(attempt?.response).toMatchObject({ status: 200, body: '', bodyTruncated: true });
  });

  it('of a hundred at once makes one token request', async () => {
    const { state, tokenPath } = await endpoint();
    const attempts = await stage.attemptsOf(await stage.publishMany(100, state));
    expect(attempts.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 100 }, () => 'succeeded'));
    expect(server.at(tokenPath)).toHaveLength(1);
  });

  it('is sent once more with another token after a 401, in the same attempt', async () => {
    const { state, path, tokenPath } = await endpoint();
    await deliverTo(stage, state);
    good.clear();
    const attempt = await deliverTo(stage, state);
    expect(attempt).toMatchObject({ attempt: 1, outcome: 'succeeded', response: { status: 200 } });
    const [, refused, again] = receiver.at(path);
    expect([refused?.webhookId, refused?.body]).toEqual([again?.webhookId, again?.body]);
    expect(receiver.at(path).map(bearer)).toEqual([issued[0], issued[0], issued[1]]);
    expect(server.at(tokenPath)).toHaveLength(2);
  });

  it('fails after a second 401, and those that follow do not ask for a token each', async () => {
    const { state, path, tokenPath } = await endpoint();
    receiver.plan({ path, answers: (request) => echo(request, 401) });
    const attempt = await deliverTo(stage, state);
    expect(attempt).toMatchObject({
      ...{ outcome: 'failed', error: { class: 'http_status' }, response: { status: 401 } },
      decision: { kind: 'retry' },
    });
    expect([receiver.at(path).length, server.at(tokenPath).length]).toEqual([2, 2]);
    const kept = JSON.stringify(attempt) + Buffer.from(attempt?.response?.body ?? '', 'base64').toString();
    for (const token of issued) expect(kept).not.toContain(token);
    await deliverTo(stage, state);
    await deliverTo(stage, state);
    expect([receiver.at(path).length, server.at(tokenPath).length]).toEqual([4, 2]);
  });

  it('fails after a 401 when the token server only has the same token again', async () => {
    const { state, path, tokenPath } = await endpoint();
    const same = issue();
    server.plan({ path: tokenPath, answers: [same] });
    good.clear();
    expect(await deliverTo(stage, state)).toMatchObject({
      error: { class: 'http_status' },
      response: { status: 401 },
    });
    expect([receiver.at(path).length, server.at(tokenPath).length]).toEqual([1, 2]);
  });

  it('fails after a 403 without another token', async () => {
    const { state, path, tokenPath } = await endpoint();
    receiver.plan({ path, answers: [403] });
    expect(await deliverTo(stage, state)).toMatchObject({
      error: { class: 'http_status' },
      response: { status: 403 },
    });
    expect([receiver.at(path).length, server.at(tokenPath).length]).toEqual([1, 1]);
  });

  it.each([
    ['auth_token_refused', { status: 401, body: '{"error":"invalid_client"}' }, 30_000],
    ['auth_token_unavailable', { status: 503, headers: { 'retry-after': '90' } }, 90_000],
    ['auth_token_invalid', { status: 200, body: '<h1>hello</h1>' }, 30_000],
  ] as const)(
    'is not sent while the token is %s, and retried when it makes sense',
    async (why, answer, ms) => {
      const { state, path, tokenPath } = await endpoint();
      server.plan({ path: tokenPath, answers: [answer] });
      const [attempt, second] = [await deliverTo(stage, state), await deliverTo(stage, state)];
      expect(attempt).toMatchObject({
        outcome: 'failed',
        error: { class: why },
        decision: { kind: 'retry' },
      });
      expect(attempt?.request.headers).not.toHaveProperty('authorization');
      expect(attempt).not.toHaveProperty('response');
      const { decision, startedAt = 0 } = attempt ?? {};
      const waitMs = decision?.kind === 'retry' ? decision.at - startedAt : 0;
      expect(waitMs).toBeGreaterThanOrEqual(ms);
      expect(second).toMatchObject({ error: { class: why } });
      expect([receiver.at(path).length, server.at(tokenPath).length]).toEqual([0, 1]);
    },
  );

  it('is given up within its own time when the token server does not answer', async () => {
    const { state, path, tokenPath } = await endpoint({}, { timeoutSeconds: 0.2 });
    server.plan({ path: tokenPath, answers: ['hang'] });
    expect(await deliverTo(stage, state)).toMatchObject({ error: { class: 'auth_token_timeout' } });
    expect(receiver.at(path)).toHaveLength(0);
  });

  it('does not fetch a token from where it must not', async () => {
    const { state } = await endpoint({ tokenUrl: 'http://169.254.169.254/latest/api/token' });
    const attempt = await deliverTo(stage, state);
    expect(attempt?.error).toEqual({
      class: 'auth_token_unreachable',
      message: expect.stringContaining('(blocked_address)'),
    });
  });

  it('has a token that was asked for with a signed assertion, by the former key while the new one spreads', async () => {
    const [old, next] = [newKey('old'), newKey('next')];
    server.plan({ path: '/signed', answers: issue });
    receiver.plan({ path: '/signed', answers: (request) => (good.has(bearer(request)) ? 200 : 401) });
    const oauth = {
      ...{ tokenUrl: server.url('/signed'), clientId: 'us', method: 'private_key_jwt' as const },
      ...{ key: { public: old.public, jwks: 'x' }, assertionAudience: 'https://issuer.example' },
      ...{ scope: null, resource: [], audience: null },
    };
    const state = await stage.configureOAuthEndpoint(receiver.url('/signed'), old.private, oauth);
    const { credential } = state.oauth as OAuthClient;
    expect(await deliverTo(stage, state)).toMatchObject({ outcome: 'succeeded' });
    for (const [version, signsUntil] of [
      [2, Date.now() + 60_000],
      [3, Date.now() - 1],
    ] as const) {
      const key = {
        public: next.public,
        jwks: 'x',
        previous: { public: old.public, credential, signsUntil },
      };
      const sealed = stage.sealOAuth(state.id, next.private);
      await stage.configure({ ...state, version, oauth: { ...oauth, key, credential: sealed } });
      expect(await deliverTo(stage, { ...state, version })).toMatchObject({ outcome: 'succeeded' });
    }
    // The second delivery had the first one's token, since it is the same key that asks.
    expect(await Promise.all(server.at('/signed').map(kidOf))).toEqual(['old', 'next']);

    async function kidOf({ body }: ReceivedRequest): Promise<string | undefined> {
      const assertion = new URLSearchParams(body.toString()).get('client_assertion') ?? '';
      const keys = createLocalJWKSet({ keys: [old.public, next.public] });
      const verified = await jwtVerify(assertion, keys, { audience: 'https://issuer.example' });
      expect(verified.payload).toMatchObject({ iss: 'us', sub: 'us' });
      return verified.protectedHeader.kid;
    }
  });
});

function newKey(kid: string): { private: string; public: PublicJwk } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const shown = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' } as PublicJwk;
  return { private: JSON.stringify(privateKey.export({ format: 'jwk' })), public: shown };
}

it('is put off while its credential does not open', async () => {
  const { state, path } = await endpoint();
  const oauth = state.oauth as OAuthClient;
  // Sealed for another place, so its secrets open and this does not.
  const foreign: OAuthClient = { ...oauth, credential: { ...oauth.credential, id: 'sec_other' } };
  const broken: EndpointState = { ...state, version: 2, oauth: foreign };
  await stage.configure(broken);
  const { deliveries } = await stage.publish([broken]);
  const [event] = await stage.eventsOf(deliveries[0]);
  expect(event).toMatchObject({ type: 'DeliveryDeferred', reason: 'config_unavailable' });
  expect(receiver.at(path)).toHaveLength(0);
});
