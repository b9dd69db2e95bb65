import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { OAuthClient } from '@posthaste/contracts';
import { parseEgressPolicy } from '../address-rules.js';
import { GuardedClient } from '../guarded-client.js';
import { TokenServer } from './proving/token-server.js';
import { tokenClient } from './token-client.js';
import { requestToken } from './token-request.js';

const SECRET = 's3cr3t/with:odd+chars %';

let server: TokenServer;
let client: GuardedClient;
beforeAll(async () => {
  server = await TokenServer.start();
  client = new GuardedClient({ policy: parseEgressPolicy('127.0.0.0/8') });
});
afterAll(async () => {
  client.close();
  await server.stop();
});

function oauth(path: string, fields: Partial<OAuthClient> = {}): OAuthClient {
  return {
    ...{ tokenUrl: path.startsWith('http') ? path : server.url(path), clientId: 'cl:ient', key: null },
    ...{ method: 'client_secret_basic', credential: { id: 'sec_1', sealed: '' }, scope: null },
    ...{ resource: [], audience: null, assertionAudience: null },
    ...fields,
  };
}

const ask = (path: string, timeoutMs = 5_000) =>
  requestToken(client, tokenClient('ten_1', oauth(path), SECRET), timeoutMs);

describe('a token request', () => {
  it('carries what was configured, and reads the answer', async () => {
    const configured = oauth('/good', { scope: 'a b', resource: ['https://x/1', 'urn:y'], audience: 'aud' });
    expect(await requestToken(client, tokenClient('ten_1', configured, SECRET), 5_000)).toEqual({
      ...{ kind: 'token', token: 'good.token', expiresInSeconds: 3_600, grantedScope: undefined },
    });
    const [{ headers, form } = { headers: {}, form: new URLSearchParams() }] = server.at('/good');
    expect(headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/);
    expect([...form].sort()).toEqual([
      ['audience', 'aud'],
      ['grant_type', 'client_credentials'],
      ['resource', 'https://x/1'],
      ['resource', 'urn:y'],
      ['scope', 'a b'],
    ]);
    const [id, secret] = Buffer.from(String(headers.authorization).slice('Basic '.length), 'base64')
      .toString()
      .split(':')
      .map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
    expect([id, secret]).toEqual(['cl:ient', SECRET]);
  });

  it('carries the secret in the form or in the header, never in both', async () => {
    server.requests.length = 0;
    const post = oauth('/good', { method: 'client_secret_post' });
    await requestToken(client, tokenClient('ten_1', post, SECRET), 5_000);
    const [got] = server.requests;
    expect(got?.headers.authorization).toBeUndefined();
    expect([got?.form.get('client_id'), got?.form.get('client_secret')]).toEqual(['cl:ient', SECRET]);
  });

  it.each<[string, number | undefined]>([
    ['/good', 3_600],
    ['/no-content-type', 3_600],
    ['/expires-string', 120],
    ['/expires-missing', undefined],
    ['/clock-behind', 3_600],
    ['/16k-token', 3_600],
  ])('takes %s', async (path, expiresInSeconds) => {
    expect(await ask(path)).toMatchObject({ kind: 'token', expiresInSeconds });
  });

  it.each<[string, string, string]>([
    ['/html', 'auth_token_invalid', 'the answer is not JSON'],
    ['/empty-object', 'auth_token_invalid', 'access_token is missing or not what it must be'],
    ['/array', 'auth_token_invalid', 'the answer is not a token response'],
    ['/empty', 'auth_token_invalid', 'the answer is not JSON'],
    ['/proto', 'auth_token_invalid', 'access_token is missing or not what it must be'],
    ['/204', 'auth_token_invalid', 'status 204'],
    ['/no-type', 'auth_token_invalid', 'token_type is missing or not what it must be'],
    ['/dpop', 'auth_token_invalid', 'token_type is not bearer'],
    ['/mac', 'auth_token_invalid', 'token_type is not bearer'],
    ['/expires-word', 'auth_token_invalid', 'expires_in is missing or not what it must be'],
    ['/expires-negative', 'auth_token_invalid', 'expires_in is missing or not what it must be'],
    ['/expires-huge', 'auth_token_invalid', 'expires_in is missing or not what it must be'],
    ['/crlf', 'auth_token_invalid', 'access_token has characters no token has'],
    ['/space', 'auth_token_invalid', 'access_token has characters no token has'],
    ['/unicode', 'auth_token_invalid', 'access_token has characters no token has'],
    ['/empty-token', 'auth_token_invalid', 'access_token is missing or not what it must be'],
    ['/number-token', 'auth_token_invalid', 'access_token is missing or not what it must be'],
    ['/long-token', 'auth_token_invalid', 'access_token is too long'],
    ['/redirect', 'auth_token_invalid', 'status 302'],
    ['/10mb', 'auth_token_invalid', 'the answer is too long'],
    ['/breaks-off', 'auth_token_invalid', 'the answer broke off'],
    ['/500', 'auth_token_unavailable', 'status 500'],
    ['/503', 'auth_token_unavailable', 'status 503'],
    ['/429', 'auth_token_unavailable', 'status 429'],
    ['/invalid-client', 'auth_token_refused', 'invalid_client'],
    ['/invalid-target', 'auth_token_refused', 'invalid_target'],
    ['/400-html', 'auth_token_refused', 'status 400'],
    ['/400-odd-error', 'auth_token_refused', 'status 400'],
    ['/reset', 'auth_token_unreachable', 'connection'],
    ['http://10.0.0.5/token', 'auth_token_unreachable', 'blocked_address'],
    ['http://169.254.169.254/', 'auth_token_unreachable', 'blocked_address'],
    ['http://idp.example/token', 'auth_token_unreachable', 'invalid_url'],
  ])('of %s is %s: %s', async (path, attemptClass, why) => {
    const failure = await ask(path);
    expect(failure).toMatchObject({ kind: 'failed', class: attemptClass });
    expect('message' in failure ? failure.message : '').toContain(`(${why})`);
    expect(JSON.stringify(failure)).not.toContain('s3cr3t');
  });

  it.each(['/hang', '/drip'])('of %s ends with its time', async (path) => {
    expect(await ask(path, 300)).toMatchObject({ kind: 'failed', class: 'auth_token_timeout' });
  });

  it('says when a server that is away wants to be asked again', async () => {
    expect(await ask('/503')).toMatchObject({ retryAfter: '120' });
  });

  it('signs assertions whose claims and header are those of RFC 7523, each with its own id', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = {
      public: { ...publicKey.export({ format: 'jwk' }), kid: 'k1', x5t: 'thumb', alg: 'ES256', use: 'sig' },
      jwks: 'x',
    } as NonNullable<OAuthClient['key']>;
    const jwk = JSON.stringify(privateKey.export({ format: 'jwk' }));
    const signing = (assertionAudience: string, path = '/good') =>
      tokenClient('ten_1', oauth(path, { method: 'private_key_jwt', key, assertionAudience }), jwk);
    server.requests.length = 0;
    for (const audience of ['https://issuer.example', 'token_endpoint', 'https://issuer.example']) {
      expect(await requestToken(client, signing(audience), 5_000)).toMatchObject({ kind: 'token' });
    }
    const parts = server.requests.map(({ form, headers }) => {
      expect(headers.authorization).toBeUndefined();
      expect(form.get('client_assertion_type')).toBe(
        'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      );
      expect(form.has('client_secret')).toBe(false);
      return (form.get('client_assertion') ?? '')
        .split('.')
        .slice(0, 2)
        .map(
          (part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, string | number>,
        );
    });
    for (const [header, claims] of parts) {
      expect(header).toEqual({ alg: 'ES256', kid: 'k1', x5t: 'thumb', typ: 'JWT' });
      const iat = Number(claims?.['iat']);
      expect(claims).toMatchObject({ iss: 'cl:ient', sub: 'cl:ient', nbf: iat - 5, exp: iat + 60 });
    }
    expect(parts.map(([, claims]) => claims?.['aud'])).toEqual([
      ...['https://issuer.example', server.url('/good'), 'https://issuer.example'],
    ]);
    expect(new Set(parts.map(([, claims]) => claims?.['jti'])).size).toBe(3);
    expect(
      await requestToken(client, signing('token_endpoint', '/clock-behind-assertion'), 5_000),
    ).toMatchObject({ class: 'auth_token_refused' });
  });

  it('with a credential that is no key fails on our side', async () => {
    const key = { public: { kty: 'EC', kid: 'k', alg: 'ES256', use: 'sig' }, jwks: 'x' } as const;
    const broken = tokenClient('ten_1', oauth('/good', { method: 'private_key_jwt', key }), '{}');
    expect(await requestToken(client, broken, 5_000)).toMatchObject({ kind: 'failed', class: 'internal' });
  });
});

it('asks as somebody else as soon as anything about the client differs', () => {
  const variants: [string, Partial<OAuthClient>, string][] = [
    ['ten_1', {}, SECRET],
    ['ten_2', {}, SECRET],
    ['ten_1', {}, 'other'],
    ['ten_1', { tokenUrl: 'https://other' }, SECRET],
    ['ten_1', { clientId: 'other' }, SECRET],
    ['ten_1', { method: 'client_secret_post' }, SECRET],
    ['ten_1', { scope: 'a' }, SECRET],
    ['ten_1', { resource: ['a'] }, SECRET],
    ['ten_1', { audience: 'a' }, SECRET],
    ['ten_1', { assertionAudience: 'a' }, SECRET],
  ];
  const keys = variants.map(
    ([tenant, fields, secret]) => tokenClient(tenant, oauth('/good', fields), secret).cacheKey,
  );
  expect(new Set(keys).size).toBe(variants.length);
  expect(tokenClient('ten_1', oauth('/good', { credential: { id: 'sec_2', sealed: 'x' } }), SECRET)).toEqual(
    expect.objectContaining({ cacheKey: keys[0] }),
  );
});
