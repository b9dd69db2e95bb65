import { createHash, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type EndpointState, type PublicJwk, topics } from '@posthaste/contracts';
import { createLogger } from '@posthaste/runtime';
import { type RestClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { parseKeks, Vault } from '@posthaste/vault';
import { calculateJwkThumbprint, exportJWK, importX509 } from 'jose';
import { DataSource } from 'typeorm';
import { entities } from '../../app.module.js';
import { Changes } from '../../changes/changes.js';
import { KEKS } from '../../proving/api-under-test.js';
import { startTestBed, type TestBed } from '../../proving/test-bed.js';
import { OidcKeys } from './oidc-keys.js';

// The keys behind Middesk's oidc_keys: what is shown of them, and how one follows another.

const DAY_MS = 86_400_000;
const PATH = '/v1/webhooks';

let bed: TestBed;
let tenant: TenantClient;
let client: RestClient;
let database: DataSource;
let following: { close(): Promise<void> };
const told = new Map<string, EndpointState>();

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  client = await bed.api.accountClient(tenant, 'acme');
  database = await new DataSource({ type: 'postgres', url: bed.postgres.url, entities }).initialize();
  following = await bed.log.reader.follow(topics.config, (record) => {
    const state = topics.config.decode(record);
    if (state.kind === 'endpoint') told.set(`${state.id}/${state.version}`, state);
  });
}, 60_000);
afterAll(async () => {
  await following.close();
  await database.destroy();
  await bed.stop();
});

/** As another replica would, at another time. */
function keysAt(inMs: number): OidcKeys {
  const { logger } = createLogger('test', 'silent');
  const changes = new Changes(database);
  return new OidcKeys({
    ...{ database, changes, vault: new Vault(parseKeks(KEKS)), logger },
    now: () => Date.now() + inMs,
  });
}

async function shown(): Promise<PublicJwk[]> {
  // The replica's own list is some seconds old at most; another one's is new.
  return keysAt(0).published();
}

async function webhook(): Promise<{ id: string }> {
  return client.ask('POST', PATH, {
    body: {
      ...{ url: 'https://receiver.example/', enabled_events: ['*'], oidc_auth_method: 'private_key_jwt' },
      ...{ oidc_client_id: 'us', oidc_token_endpoint: 'https://idp.example/token' },
      oidc_access_token_ttl_seconds: 60,
    },
  });
}

async function stateOf({ id }: { id: string }, version: number): Promise<EndpointState> {
  const own = await tenant.rest.ask<{ id: string }>('GET', `/v1/endpoints/${id}`);
  return waitFor(() => told.get(`${own.id}/${version}`), { what: 'the state in the log' });
}

const kids = (keys: { kid: string }[]) => keys.map(({ kid }) => kid);

describe('oidc_keys', () => {
  beforeEach(async () => {
    await bed.database.query('update config.endpoint set deleted_at = now(), oauth = null');
    await bed.database.query('delete from config.shared_key');
  });

  it('shows one public key with its certificate, to everybody, before anyone has a webhook', async () => {
    const answer = await bed.api.as().get<{ keys: PublicJwk[] }>(`${PATH}/oidc_keys`);
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'public, max-age=300']);
    const [key] = answer.json.keys as [PublicJwk];
    expect(answer.json).toEqual({
      keys: [
        {
          ...{ kty: 'RSA', use: 'sig', alg: 'RS256', kid: expect.any(String), x5t: expect.any(String) },
          ...{ n: expect.any(String), e: 'AQAB', x5c: [expect.any(String)] },
        },
      ],
    });
    const der = Buffer.from(key.x5c?.[0] ?? '', 'base64');
    const certificate = new X509Certificate(der);
    expect(key.x5t).toBe(createHash('sha1').update(der).digest('base64url'));
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    const certified = await exportJWK(
      await importX509(certificate.toString(), 'RS256', { extractable: true }),
    );
    expect(certified).toMatchObject({ n: key.n, e: key.e });
    expect(await calculateJwkThumbprint(certified)).toBe(key.kid);
    expect(Date.parse(certificate.validTo)).toBeGreaterThan(Date.now() + 700 * DAY_MS);
    expect(Date.parse(certificate.validFrom)).toBeLessThan(Date.now());
  });

  it('is the same for every tenant, whose endpoints sign with it and show nothing of it', async () => {
    const [first, second] = [await webhook(), await webhook()];
    const [key] = await shown();
    for (const one of [first, second]) {
      const { oauth } = await stateOf(one, 1);
      expect(oauth?.key?.public).toEqual(key);
      const answer = await client.get(`${PATH}/${one.id}`);
      for (const part of [key?.kid, key?.n, key?.x5t]) expect(answer.bytes.toString()).not.toContain(part);
    }
    expect(await shown()).toHaveLength(1);
  });

  it('is made once, however many replicas are asked for the first one at once', async () => {
    const lists = await Promise.all([1, 2, 3].map(() => keysAt(0).published()));
    expect(new Set(lists.map((list) => kids(list).join())).size).toBe(1);
    expect(lists[0]).toHaveLength(1);
  });

  it('announces the next key before it signs, and shows the old one until its last assertion is over', async () => {
    const made = await webhook();
    const [old] = await shown();
    await keysAt(300 * DAY_MS).tend();
    expect(await shown()).toEqual([old]);

    await Promise.all([keysAt(336 * DAY_MS).tend(), keysAt(336 * DAY_MS).tend()]);
    const announced = await shown();
    expect(kids(announced)).toEqual([expect.any(String), old?.kid]);
    const [next] = announced;
    expect((await stateOf(made, 1)).oauth?.key?.public.kid).toBe(old?.kid);
    expect(await keysAt(336 * DAY_MS).signingKey()).toMatchObject({ kid: old?.kid });

    await keysAt(367 * DAY_MS).tend();
    const { oauth } = await stateOf(made, 2);
    expect(oauth?.key).toMatchObject({ public: next, previous: { public: old } });
    expect(oauth?.key?.previous?.signsUntil).toBeGreaterThan(Date.now() + 300_000);
    expect(await keysAt(367 * DAY_MS).signingKey()).toMatchObject({ kid: next?.kid });
    expect(await shown()).toEqual(announced);

    await bed.database.query(
      `update config.shared_key set retired_at = retired_at - interval '16 minutes' where retired_at is not null`,
    );
    expect(await shown()).toEqual([next]);
    const again = await client.get(`${PATH}/${made.id}`);
    expect(again.status).toBe(200);
  });

  it('asks PostgreSQL no more often than every few seconds', async () => {
    const path = `${PATH}/oidc_keys`;
    const keys = keysAt(0);
    expect(keys.published()).toBe(keys.published());
    await keys.published();
    const answers = await Promise.all(Array.from({ length: 50 }, () => bed.api.as().get(path)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  });
});
