import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import {
  type ReceivedRequest,
  Receiver,
  RestClient,
  seedTenant,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { itOn, startTestStack } from './test-stack.js';

// Webhooks made as Middesk's clients make them, to receivers that want a token of an authorization server that is not
// ours, and that knows us by what `oidc_keys` shows.

const PROVIDER = new URL('../../../libs/egress/src/oauth/proving/oidc-provider.main.mjs', import.meta.url);
const RESOURCE = 'https://receiver.example/hooks';
const KEYS = '/v1/webhooks/oidc_keys';
const CLIENT_SECRET = 'a client secret/with:odd+chars';
const SECRET = 'the-secret-of-the-webhook';
const BUSINESS = {
  ...{ object: 'business', id: '0f86dab5-8195-4b95-b3c0-19deaeba2a8e', external_id: 'ext-1', name: 'A' },
  ...{ names: [{ name: 'A Company' }], tin: { mismatch: false } },
};

describe('a webhook of Middesk', () => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  let client: RestClient;
  let provider: ChildProcess;
  let issuer: string;
  const it = itOn(() => stack);

  beforeAll(async () => {
    stack = await startTestStack();
    receiver = await Receiver.start();
    tenant = await seedTenant(stack.url, stack.operatorKey);
    await tenant.putAccount('acme');
    const operator = new RestClient(stack.url, stack.operatorKey);
    const body = { scope: 'account', account: 'acme', permissions: ['endpoints:read', 'endpoints:write'] };
    const { key } = await operator.ask<{ key: string }>('POST', `/v1/tenants/${tenant.id}/keys`, { body });
    client = new RestClient(stack.url, key);
    const clients = [
      {
        ...{ client_id: 'by-key', token_endpoint_auth_method: 'private_key_jwt' },
        // It does not fetch a key set from loopback.
        ...{ token_endpoint_auth_signing_alg: 'RS256', jwks: await client.ask('GET', KEYS) },
      },
      {
        ...{ client_id: 'by-secret', token_endpoint_auth_method: 'client_secret_post' },
        client_secret: CLIENT_SECRET,
      },
    ];
    provider = spawn(process.execPath, [PROVIDER.pathname, JSON.stringify({ clients, resource: RESOURCE })], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    issuer = await new Promise<string>((resolve, reject) => {
      createInterface({ input: provider.stdout as NodeJS.ReadableStream }).once('line', resolve);
      provider.once('exit', (code) => reject(new Error(`oidc-provider ended with ${code}`)));
    });
  }, 120_000);
  afterAll(async () => {
    const ended = new Promise((resolve) => provider.once('exit', resolve));
    provider.stdin?.end();
    await ended;
    await stack.stop();
    await receiver.stop();
  }, 60_000);

  const oidc = {
    oidc_resource_uri: RESOURCE,
    oidc_scope: 'deliver',
    oidc_access_token_ttl_seconds: 60,
  };

  function created(path: string, fields: object): Promise<{ id: string }> {
    const body = { url: receiver.url(path), enabled_events: ['business.created'], secret: SECRET, ...fields };
    return client.ask('POST', '/v1/webhooks', { body });
  }

  async function arrivedAt(path: string): Promise<ReceivedRequest> {
    const [request] = await waitFor(() => receiver.at(path).length > 0 && receiver.at(path), { what: path });
    return request as ReceivedRequest;
  }

  const bearer = ({ headers }: ReceivedRequest): string =>
    headers.authorization?.slice('Bearer '.length) ?? '';

  it('carries a token of a certified server, by either method, and is signed and shaped as Middesk does', async () => {
    const token = { ...oidc, oidc_token_endpoint: `${issuer}/token` };
    await created('/by-key', { ...token, oidc_auth_method: 'private_key_jwt', oidc_client_id: 'by-key' });
    await created('/by-secret', {
      ...{ ...token, oidc_auth_method: 'client_secret', oidc_client_id: 'by-secret' },
      ...{ oidc_client_secret: CLIENT_SECRET, include: 'identifiers' },
    });
    await tenant.publish('acme', 'business.created', BUSINESS);
    const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
    for (const [name, object] of [
      ['by-key', BUSINESS],
      ['by-secret', { object: 'business', id: BUSINESS.id, external_id: 'ext-1', name: 'A' }],
    ] as const) {
      const request = await arrivedAt(`/${name}`);
      const { payload } = await jwtVerify(bearer(request), keys, { issuer, audience: RESOURCE });
      expect(payload).toMatchObject({ client_id: name, scope: 'deliver' });
      const signature = createHmac('sha256', SECRET).update(request.body).digest('hex');
      expect(request.headers).toMatchObject({
        ...{ 'x-middesk-signature-256': signature, 'x-correlation-id': 'ext-1' },
      });
      expect(JSON.parse(request.body.toString())).toMatchObject({
        ...{ object: 'event', type: 'business.created', data: { object } },
      });
      const { data } = JSON.parse(request.body.toString()) as { data: { object: object } };
      expect(Object.keys(data.object)).toEqual(Object.keys(object));
    }
  });

  it('asks with an assertion that is named after what oidc_keys shows', async () => {
    const access_token = randomBytes(32).toString('base64url');
    receiver.plan({
      path: '/token',
      answers: [{ status: 200, body: JSON.stringify({ access_token, token_type: 'Bearer' }) }],
    });
    await created('/asserted', {
      ...{ ...oidc, oidc_auth_method: 'private_key_jwt', oidc_client_id: 'us' },
      oidc_token_endpoint: receiver.url('/token'),
    });
    await tenant.publish('acme', 'business.created', BUSINESS);
    expect(bearer(await arrivedAt('/asserted'))).toBe(access_token);
    const form = new URLSearchParams((await arrivedAt('/token')).body.toString());
    expect([form.get('scope'), form.get('resource')]).toEqual(['deliver', RESOURCE]);
    const { keys } = await new RestClient(stack.url).ask<{ keys: object[] }>('GET', KEYS);
    const verified = await jwtVerify(
      form.get('client_assertion') ?? '',
      createRemoteJWKSet(new URL(KEYS, stack.url)),
      { audience: receiver.url('/token'), issuer: 'us', subject: 'us', maxTokenAge: 300 },
    );
    const { kid, x5t } = verified.protectedHeader;
    expect(keys).toEqual([expect.objectContaining({ kid, x5t })]);
  });

  it('stops with disabled_at and goes on without', async () => {
    const { id } = await created('/stopped', { enabled_events: ['*'] });
    const count = () => receiver.at('/stopped').length;
    const published = async (type: string) => {
      const message = await tenant.publish('acme', type, BUSINESS);
      return message.deliveries;
    };
    expect(await published('tin.retried')).toBe(1);
    await arrivedAt('/stopped');
    const path = `/v1/webhooks/${id}`;
    await client.ask('PUT', path, { body: { disabled_at: new Date().toISOString() } });
    expect(await published('tin.retried')).toBe(0);
    await client.ask('PATCH', path, { body: { disabled_at: null } });
    expect(await published('tin.retried')).toBe(1);
    await waitFor(() => count() === 2, { what: 'the message after it was switched on' });
  });
});
