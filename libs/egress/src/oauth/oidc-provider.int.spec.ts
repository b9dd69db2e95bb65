import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { OAuthClient, PublicJwk } from '@posthaste/contracts';
import { decodeJwt } from 'jose';
import { parseEgressPolicy } from '../address-rules.js';
import { GuardedClient } from '../guarded-client.js';
import { OidcProvider } from './proving/oidc-provider.js';
import { tokenClient } from './token-client.js';
import { requestToken } from './token-request.js';

// What a certified authorization server, which is not ours, makes of our requests.

const SECRET = 'a secret/with:odd+chars %&=';
const RESOURCE = 'https://receiver.example/hooks';

const pairs: Record<PublicJwk['alg'], { privateKey: KeyObject; publicKey: KeyObject }> = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2_048 }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2_048 }),
  EdDSA: generateKeyPairSync('ed25519'),
};
const algorithms = Object.keys(pairs) as PublicJwk['alg'][];

let provider: OidcProvider;
let guarded: GuardedClient;

beforeAll(async () => {
  const authentication = (token_endpoint_auth_method: string) => ({ token_endpoint_auth_method });
  provider = await OidcProvider.start(
    [
      { client_id: 'basic', client_secret: SECRET, ...authentication('client_secret_basic') },
      { client_id: 'post', client_secret: SECRET, ...authentication('client_secret_post') },
      ...algorithms.map((alg) => ({
        ...{ client_id: alg, ...authentication('private_key_jwt') },
        ...{ token_endpoint_auth_signing_alg: alg, jwks: { keys: [publicJwk(alg)] } },
      })),
    ],
    RESOURCE,
  );
  guarded = new GuardedClient({ policy: parseEgressPolicy('127.0.0.0/8') });
}, 30_000);
afterAll(async () => {
  guarded.close();
  await provider.stop();
});

function publicJwk(alg: PublicJwk['alg']): PublicJwk {
  return {
    ...pairs[alg].publicKey.export({ format: 'jwk' }),
    kid: `key-${alg}`,
    alg,
    use: 'sig',
  } as PublicJwk;
}

function ask(fields: Partial<OAuthClient>, credential: string) {
  const oauth: OAuthClient = {
    ...{ tokenUrl: `${provider.issuer}/token`, clientId: 'basic', method: 'client_secret_basic', key: null },
    ...{ credential: { id: 'sec_1', sealed: '' }, scope: null, resource: [], audience: null },
    assertionAudience: null,
    ...fields,
  };
  return requestToken(guarded, tokenClient('ten_1', oauth, credential), 10_000);
}

function askSigned(alg: PublicJwk['alg'], fields: Partial<OAuthClient> = {}) {
  const key = { public: publicJwk(alg), jwks: 'x' };
  const own = { clientId: alg, method: 'private_key_jwt' as const, key, assertionAudience: provider.issuer };
  return ask({ ...own, ...fields }, JSON.stringify(pairs[alg].privateKey.export({ format: 'jwk' })));
}

describe('oidc-provider', () => {
  it.each(['basic', 'post'] as const)('knows us by client_secret_%s', async (way) => {
    const client = { clientId: way, method: `client_secret_${way}` as const };
    expect(await ask(client, SECRET)).toMatchObject({ kind: 'token', expiresInSeconds: 600 });
    expect(await ask(client, 'wrong')).toMatchObject({
      ...{ kind: 'failed', class: 'auth_token_refused' },
      message: expect.stringContaining('(invalid_client)'),
    });
  });

  it.each(algorithms)('knows us by private_key_jwt with %s', async (alg) => {
    expect(await askSigned(alg)).toMatchObject({ kind: 'token' });
    expect(await askSigned(alg, { assertionAudience: 'token_endpoint' })).toMatchObject({ kind: 'token' });
  });

  it('refuses an assertion for another audience, and one signed with another key', async () => {
    const refused = { class: 'auth_token_refused', message: expect.stringContaining('(invalid_client)') };
    expect(await askSigned('ES256', { assertionAudience: 'https://other.example' })).toMatchObject(refused);
    expect(await askSigned('PS256', { clientId: 'RS256' })).toMatchObject(refused);
  });

  it('gives a token for the resource and scope that were asked for', async () => {
    const result = await askSigned('ES256', { resource: [RESOURCE], scope: 'deliver' });
    expect(result).toMatchObject({ kind: 'token', expiresInSeconds: 120, grantedScope: 'deliver' });
    const claims = decodeJwt(result.kind === 'token' ? result.token : '');
    expect(claims).toMatchObject({ aud: RESOURCE, scope: 'deliver', client_id: 'ES256' });
    expect(await askSigned('ES256', { resource: ['https://other.example/'] })).toMatchObject({
      ...{ class: 'auth_token_refused', message: expect.stringContaining('(invalid_target)') },
    });
  });
});
