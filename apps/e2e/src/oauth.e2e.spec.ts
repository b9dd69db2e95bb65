import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { type ReceivedRequest, Receiver, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { itOn, startTestStack } from './test-stack.js';

const ISSUER = 'https://issuer.example';

interface Shown {
  id: string;
  oauth: { kid: string; jwks_url: string };
}

describe('a receiver that wants an access token', () => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  const tokens: string[] = [];
  const it = itOn(() => stack);

  beforeAll(async () => {
    stack = await startTestStack();
    receiver = await Receiver.start();
    tenant = await seedTenant(stack.url, stack.operatorKey);
    await tenant.putAccount('acme');
    receiver.plan({ path: '/token', answers: () => ({ status: 200, body: newToken() }) });
    receiver.plan({ path: '/hook', answers: (request) => (tokens.includes(bearer(request)) ? 200 : 401) });
  }, 120_000);
  afterAll(async () => {
    await stack.stop();
    await receiver.stop();
  }, 60_000);

  function newToken(): string {
    const access_token = randomBytes(32).toString('base64url');
    tokens.push(access_token);
    return JSON.stringify({ access_token, token_type: 'Bearer', expires_in: 3_600 });
  }

  const bearer = ({ headers }: ReceivedRequest): string =>
    headers.authorization?.slice('Bearer '.length) ?? '';

  /** As a token server would: with the keys of the URL it was told. */
  async function verified(request: ReceivedRequest | undefined, { jwks_url }: Shown['oauth']) {
    const form = new URLSearchParams(request?.body.toString());
    const keys = createRemoteJWKSet(new URL(jwks_url, stack.url));
    const audience = ISSUER;
    return jwtVerify(form.get('client_assertion') ?? '', keys, { audience, issuer: 'us', subject: 'us' });
  }

  function rsaKey(): string {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  }

  async function deliver(): Promise<void> {
    const { id } = await tenant.publish('acme', 'order.placed', {});
    await waitFor(
      async () => {
        const all = await tenant.deliveries('acme');
        return all.find(({ message_id, status }) => message_id === id && status === 'delivered');
      },
      { what: 'the message delivered', everyMs: 100 },
    );
  }

  it('gets one for an assertion that the published keys verify, and another one after the key was changed', async () => {
    const made = await tenant.rest.ask<Shown>('POST', '/v1/accounts/acme/endpoints', {
      body: {
        url: receiver.url('/hook'),
        oauth: {
          ...{ token_url: receiver.url('/token'), client_id: 'us', method: 'private_key_jwt' },
          assertion_audience: ISSUER,
        },
      },
    });
    await deliver();
    await deliver();
    expect(receiver.at('/hook').map(bearer)).toEqual([tokens[0], tokens[0]]);
    const [first] = receiver.at('/token');
    const { protectedHeader } = await verified(first, made.oauth);
    expect(protectedHeader).toMatchObject({ alg: 'ES256', kid: made.oauth.kid });

    const changed = await tenant.rest.ask<Shown>('PATCH', `/v1/endpoints/${made.id}`, {
      body: { oauth: { alg: 'PS256', private_key: rsaKey() } },
    });
    await deliver();
    const [, second] = receiver.at('/token');
    expect(changed.oauth.jwks_url).toBe(made.oauth.jwks_url);
    expect((await verified(second, changed.oauth)).protectedHeader).toMatchObject({
      ...{ alg: 'PS256', kid: changed.oauth.kid },
    });
    expect(receiver.at('/hook').map(bearer)).toEqual([tokens[0], tokens[0], tokens[1]]);
  });
});
