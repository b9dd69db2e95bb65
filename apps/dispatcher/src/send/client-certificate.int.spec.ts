import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { EndpointState, newId } from '@posthaste/contracts';
import { GuardedClient, parseEgressPolicy } from '@posthaste/egress';
import { certificate, certificateKey } from '@posthaste/test-kit';
import { endpointCredentialContext, endpointSecretContext, Vault } from '@posthaste/vault';
import { KnownEndpoint } from '../config-cache/known-endpoint.js';
import { Job } from '../intake/job.js';
import { OwnedPartition, type TakenRecord } from '../intake/owned-partition.js';
import { makeAttempt } from './attempt.js';
import { TokenCache } from './token-cache.js';

// From the sealed key in an endpoint's configuration to a receiver that lets in only who shows a certificate.

const vault = new Vault([{ id: 'k1', key: randomBytes(32) }]);
const tenant = newId('tenant');
const dataKey = vault.newDataKey(tenant);

let server: Server;
let client: GuardedClient;
/** The names the receiver was shown, by path; null for none. */
const seen = new Map<string, string | null>();

beforeAll(async () => {
  const own = { cert: certificate, key: certificateKey };
  server = createServer({ ...own, ca: certificate, requestCert: true, rejectUnauthorized: false });
  server.on('request', (request, response) => {
    const socket = request.socket as TLSSocket;
    const name = socket.authorized ? String(socket.getPeerCertificate().subject.CN) : null;
    seen.set(request.url ?? '', name);
    response.writeHead(name === null ? 403 : 200).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = new GuardedClient({
    ...{ policy: parseEgressPolicy('127.0.0.0/8'), ca: certificate },
    lookup: async () => ['127.0.0.1'],
  });
});
afterAll(async () => {
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function endpoint(path: string, hasCertificate: boolean): KnownEndpoint {
  const [id, secretId, keyId] = [newId('endpoint'), newId('secret'), newId('secret')];
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const keyContext = endpointCredentialContext(tenant, id, 'client_certificate', keyId);
  const key = { id: keyId, sealed: vault.seal(dataKey, keyContext, certificateKey) };
  const sealed = vault.seal(dataKey, endpointSecretContext(tenant, id, secretId), secret);
  const url = `https://client.acme.example:${(server.address() as AddressInfo).port}${path}`;
  const state = EndpointState.parse({
    ...{
      kind: 'endpoint',
      id,
      version: 1,
      deleted: false,
      tenant,
      account: newId('account'),
      config: 1,
      url,
    },
    ...{ enabled: true, profile: 'standard', eventTypes: [], channels: [], headers: {} },
    ...{ retryPolicy: { preset: 'ada' }, timeoutSeconds: 5 },
    secrets: [{ id: secretId, sealed, createdAt: 0, expiresAt: null }],
    clientCertificate: hasCertificate ? { chain: certificate, key } : null,
  });
  const tenantState = { kind: 'tenant', id: tenant, version: 1, deleted: false, name: 't' } as const;
  return new KnownEndpoint(state, () => ({ ...tenantState, dataKeys: [dataKey] }), vault);
}

function attempt(to: KnownEndpoint) {
  const total = { bytes: 0, routes: 0 };
  const owned = { topic: 'messages', partition: 0, committed: null, metadata: '' };
  const partition = new OwnedPartition(owned, total, () => undefined, 0);
  const route = { endpoint: to.state.id, version: 1 };
  const { account } = to.state;
  const facts = { type: 'a', contentType: 'application/json', at: 0, config: 1, routes: [route] };
  const meta = { v: 1 as const, id: newId('message'), tenant, account, ...facts };
  const record = partition.take(0, 2, 1) as TakenRecord;
  const job = new Job(
    meta,
    Buffer.from('{}'),
    route,
    1,
    'publish',
    undefined,
    -1,
    undefined,
    undefined,
    record,
  );
  return makeAttempt({ client, tokens: new TokenCache({ client }) }, job, to, () => undefined);
}

it('shows the certificate of the endpoint whose delivery it is, and of no other', async () => {
  const [named, nameless] = [endpoint('/named', true), endpoint('/nameless', false)];
  for (const to of [named, nameless, named]) {
    const { outcome } = await attempt(to);
    expect(outcome).toBe(to === named ? 'succeeded' : 'failed');
  }
  expect([...seen]).toEqual([
    ['/named', 'client.acme.example'],
    ['/nameless', null],
  ]);
  expect(JSON.stringify(await attempt(named))).not.toContain(certificateKey.split('\n')[1]);
});
