import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it, jest } from '@jest/globals';
import type { EndpointState, OAuthClient, PublicJwk } from '@posthaste/contracts';
import { type Answer, Receiver, type ReceivedRequest } from '@posthaste/test-kit';
import { newSigningSecret } from '@posthaste/wire';
import { createLocalJWKSet, jwtVerify } from 'jose';
import type { Stage } from './stage.js';
import { bearer, deliverTo, withTokenParties } from './token-parties.js';

// Middesk's deliveries to receivers that want an access token, by both ways to ask for one. The token server gives
// random tokens; the receivers take those that are still good, with a good signature.

jest.setTimeout(30_000);

const CLIENT = 'middesk-at-acme';
const SECRET = 'the-client-secret-of-the-test';
const signing = newSigningSecret('text');
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const keyShown = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' } as PublicJwk;

let stage: Stage;
let server: Receiver;
let receiver: Receiver;
let issued: string[];
let good: Set<string>;
withTokenParties((parties) => ({ stage, server, receiver, issued, good } = parties));

const methods = {
  client_secret: {
    credential: SECRET,
    oauth: { method: 'client_secret_post' as const, key: null },
    proves: (form: URLSearchParams) => Promise.resolve(form.get('client_secret') === SECRET),
  },
  private_key_jwt: {
    credential: JSON.stringify(privateKey.export({ format: 'jwk' })),
    oauth: { method: 'private_key_jwt' as const, key: { public: keyShown, jwks: 'x' } },
    proves: async (form: URLSearchParams, audience: string) => {
      const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
      if (form.get('client_assertion_type') !== type) return false;
      const { payload } = await jwtVerify(
        form.get('client_assertion') ?? '',
        createLocalJWKSet({ keys: [keyShown] }),
        { algorithms: ['RS256'], issuer: CLIENT, subject: CLIENT, audience, requiredClaims: ['jti', 'exp'] },
      );
      return (payload.exp ?? Infinity) - Date.now() / 1000 <= 300;
    },
  },
};

function issue(): Answer {
  const token = randomBytes(48).toString('base64url');
  issued.push(token);
  good.add(token);
  const body = JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 3_600 });
  return { status: 200, body };
}

const isSigned = ({ headers, body }: ReceivedRequest) =>
  headers['x-middesk-signature-256'] === createHmac('sha256', signing).update(body).digest('hex');
/** 204, or 401 to a token that is not good; either way with all that it was sent. */
const answerTo = (request: ReceivedRequest): Answer => ({
  status: isSigned(request) && good.has(bearer(request)) ? 204 : 401,
  headers: {
    'x-echo': `${request.headers.authorization} ${String(request.headers['x-middesk-signature-256'])}`,
  },
});

describe.each(['client_secret', 'private_key_jwt'] as const)('a delivery to Middesk by %s', (method) => {
  const { credential, oauth, proves } = methods[method];
  let paths = 0;

  async function endpoint(fields: Partial<OAuthClient> = {}) {
    const [path, tokenPath] = [`/${method}-${++paths}`, `/${method}-${paths}/token`];
    server.plan({ path: tokenPath, answers: issue });
    receiver.plan({ path, answers: answerTo });
    const { state } = stage.newEndpoint(receiver.url(path), {
      profile: 'middesk',
      retryPolicy: { preset: 'middesk' },
    });
    const asked = { tokenUrl: server.url(tokenPath), clientId: CLIENT, scope: 'deliver', audience: null };
    const configured: EndpointState = {
      ...state,
      secrets: [stage.sealSecret(state.id, signing, { version: 'text' })],
      oauth: {
        ...{ ...asked, resource: [], assertionAudience: 'token_endpoint', ...oauth, ...fields },
        credential: stage.sealOAuth(state.id, credential),
      },
    };
    await stage.configure(configured);
    return { state: configured, path, tokenPath };
  }

  it('carries a token that the server gave to us', async () => {
    const { state, path, tokenPath } = await endpoint();
    const attempt = await deliverTo(stage, state);
    expect(attempt).toMatchObject({ profile: 'middesk', outcome: 'succeeded', response: { status: 204 } });
    expect(receiver.at(path).map(bearer)).toEqual(issued);
    const [request] = server.at(tokenPath) as [ReceivedRequest];
    const form = new URLSearchParams(request.body.toString());
    expect([form.get('grant_type'), form.get('scope')]).toEqual(['client_credentials', 'deliver']);
    expect(await proves(form, server.url(tokenPath))).toBe(true);
  });

  it('keeps neither token nor secret in what is kept of it', async () => {
    const { state } = await endpoint();
    const attempt = await deliverTo(stage, state);
    expect(attempt?.request.headers['authorization']).toMatch(/^Bear\.\.\. \(\d+ characters\)$/);
    expect(attempt?.response?.headers['x-echo']).toMatch(/^Bearer \[hidden\] [0-9a-f]{64}$/);
    const kept = JSON.stringify(attempt);
    for (const hidden of [...issued, signing, SECRET]) expect(kept).not.toContain(hidden);
    expect(issued).toHaveLength(1);
  });

  it('asks for one token when a hundred go at once', async () => {
    const { state, path, tokenPath } = await endpoint();
    const attempts = await stage.attemptsOf(await stage.publishMany(100, state));
    expect(attempts.filter(({ outcome }) => outcome === 'succeeded')).toHaveLength(100);
    expect([receiver.at(path).length, server.at(tokenPath).length]).toEqual([100, 1]);
  });

  it('fails and is retried while the token server is down, and is delivered when it is back', async () => {
    const { state, path, tokenPath } = await endpoint();
    server.plan({ path: tokenPath, answers: [503] });
    const published = await stage.publish([state]);
    const [attempt] = await stage.attemptsOf([published]);
    expect(attempt).toMatchObject({
      ...{ outcome: 'failed', error: { class: 'auth_token_unavailable' } },
      decision: { kind: 'retry' },
    });
    expect(receiver.at(path)).toEqual([]);
    // Another client of the server, since the failure is remembered for the one that met it.
    const fresh: EndpointState = {
      ...state,
      version: 2,
      oauth: { ...(state.oauth as OAuthClient), tokenUrl: server.url(`${tokenPath}/back`) },
    };
    server.plan({ path: `${tokenPath}/back`, answers: issue });
    await stage.configure(fresh);
    const meta = { ...published.meta, routes: [{ endpoint: state.id, version: 2 }] };
    await stage.publishAgain({ ...published, meta }, 2);
    const [, second] = await stage.eventsOf(published.deliveries[0], 2);
    expect(second).toMatchObject({ type: 'DeliveryAttempted', attempt: 2, outcome: 'succeeded' });
  });

  it('fails and is retried while nothing listens where the token server should be', async () => {
    const closed = await Receiver.start();
    const tokenUrl = closed.url('/token');
    await closed.stop();
    const { state, path } = await endpoint({ tokenUrl });
    expect(await deliverTo(stage, state)).toMatchObject({
      ...{ outcome: 'failed', error: { class: 'auth_token_unreachable' } },
      decision: { kind: 'retry' },
    });
    expect(receiver.at(path)).toEqual([]);
  });

  it('has another token after a 401, once, and then fails', async () => {
    const { state, path, tokenPath } = await endpoint();
    await deliverTo(stage, state);
    good.clear();
    expect(await deliverTo(stage, state)).toMatchObject({ attempt: 1, outcome: 'succeeded' });
    expect(receiver.at(path).map(bearer)).toEqual([issued[0], issued[0], issued[1]]);
    receiver.plan({ path, answers: [401] });
    expect(await deliverTo(stage, state)).toMatchObject({
      ...{ outcome: 'failed', error: { class: 'http_status' }, response: { status: 401 } },
      decision: { kind: 'retry' },
    });
    expect([receiver.at(path).length, server.at(tokenPath).length]).toEqual([5, 3]);
  });
});
