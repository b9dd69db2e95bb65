import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EndpointState, type Endpoint, type OAuthView, type PublicJwk, topics } from '@posthaste/contracts';
import {
  certificate,
  certificateKey,
  expiredCertificate,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { calculateJwkThumbprint, exportJWK, importJWK, type JWK } from 'jose';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;
let published: Map<string, EndpointState>;
let following: { close(): Promise<void> };

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
  await tenant.putAccount('e');
  published = new Map();
  following = await bed.log.reader.follow(topics.config, (record) => {
    const state = topics.config.decode(record);
    if (state.kind === 'endpoint') published.set(`${state.id}/${state.version}`, state);
  });
}, 60_000);
afterAll(async () => {
  await following.close();
  await bed.stop();
});

const SECRET = 'canary-of-the-client-secret';
const url = 'https://receiver.example/';
const basic = { token_url: 'https://idp.example/token', client_id: 'us', client_secret: SECRET };
const signed = {
  token_url: 'https://idp.example/token',
  client_id: 'us',
  method: 'private_key_jwt',
  assertion_audience: 'https://idp.example',
};
const der = new X509Certificate(certificate).raw;
const certified = {
  ...createPrivateKey(certificateKey).export({ format: 'jwk' }),
  x5c: [der.toString('base64')],
  x5t: createHash('sha1').update(der).digest('base64url'),
};
const BAD_CERTIFICATE = '/oauth/private_key bad_certificate';
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth'];

const create = (fields: object) => tenant.rest.post<Endpoint>('/v1/accounts/e/endpoints', { url, ...fields });
const patch = (id: string, fields: object) => tenant.rest.patch<Endpoint>(`/v1/endpoints/${id}`, fields);
const refused = async (fields: object) => refusalOf(await create(fields)).slice(2);

async function created(fields: object): Promise<Endpoint & { oauth: OAuthView }> {
  const { status, json } = await create(fields);
  expect(status).toBe(201);
  return json as Endpoint & { oauth: OAuthView };
}

/** What the dispatchers are told, once they are. */
function toldOf({ id, version }: Endpoint): Promise<EndpointState> {
  return waitFor(() => published.get(`${id}/${version}`) ?? null, { what: `${id} at ${version}` });
}

const keySet = (path: string | null) =>
  bed.api.as().get<{ keys: (PublicJwk & Record<string, unknown>)[] }>(path ?? '/none');

describe("an endpoint's OAuth client", () => {
  it('is shown without its secret, which nobody but dispatchers can open', async () => {
    const made = await created({ oauth: basic });
    expect(made.oauth).toEqual({
      ...{ token_url: 'https://idp.example/token', client_id: 'us', method: 'client_secret_basic' },
      ...{ alg: null, kid: null, jwks_url: null, scope: null, resource: [] },
      ...{ audience: null, assertion_audience: null, max_token_ttl_seconds: null },
    });
    expect((await tenant.rest.get<Endpoint>(`/v1/endpoints/${made.id}`)).json).toMatchObject(made);
    const state = await toldOf(made);
    expect(state.oauth?.credential.sealed).toMatch(/^v1\./);
    expect(await everythingStored()).not.toContain(SECRET);
  });

  it('is changed by a merge patch, without naming the secret again', async () => {
    const made = await created({ oauth: { ...basic, scope: 'a' } });
    const before = await toldOf(made);
    const changed = await patch(made.id, {
      oauth: {
        ...{ scope: 'a b', resource: ['https://r.example/'], audience: 'x', method: 'client_secret_post' },
        max_token_ttl_seconds: 60,
      },
    });
    expect(changed.json.oauth).toMatchObject({
      ...{ client_id: 'us', scope: 'a b', resource: ['https://r.example/'] },
      ...{ audience: 'x', method: 'client_secret_post', max_token_ttl_seconds: 60 },
    });
    const after = await toldOf(changed.json);
    expect(after.oauth?.credential).toEqual(before.oauth?.credential);
    const next = await patch(made.id, { oauth: { client_secret: 'another', scope: null, resource: null } });
    expect(next.json.oauth).toMatchObject({ scope: null, resource: [] });
    expect((await toldOf(next.json)).oauth?.credential.id).not.toBe(before.oauth?.credential.id);
    expect((await patch(made.id, { oauth: { audience: 'x' } })).json.version).toBe(next.json.version);
    const none = await patch(made.id, { oauth: null });
    expect(none.json.oauth).toBeNull();
    expect((await toldOf(none.json)).oauth).toBeNull();
  });

  it('does not send its secret to another token URL unless it is given again', async () => {
    const made = await created({ oauth: basic });
    const moved = { token_url: 'https://other.example/token' };
    const answer = await patch(made.id, { oauth: moved });
    expect(refusalOf(answer)).toEqual([422, 'validation_failed', '/oauth/client_secret required']);
    expect((await patch(made.id, { oauth: { ...moved, client_secret: 'again' } })).status).toBe(200);
    const jwt = await created({ oauth: signed });
    const elsewhere = await patch(jwt.id, { oauth: moved });
    expect(elsewhere.json.oauth?.kid).not.toBe(jwt.oauth.kid);
    expect(elsewhere.json.oauth?.jwks_url).not.toBe(jwt.oauth.jwks_url);
    expect((await keySet(jwt.oauth.jwks_url)).status).toBe(404);
  });

  it.each<[string, object, string]>([
    ['no secret', { ...basic, client_secret: undefined }, '/oauth/client_secret required'],
    ['plain http', { ...basic, token_url: 'http://idp.example/' }, '/oauth/token_url https_only'],
    [
      'a metadata address',
      { ...basic, token_url: 'https://169.254.169.254/' },
      '/oauth/token_url private_address',
    ],
    ['a private name', { ...basic, token_url: 'https://idp.internal/' }, '/oauth/token_url private_name'],
    ['a user in the URL', { ...basic, token_url: 'https://a:b@idp.example/' }, '/oauth/token_url userinfo'],
    ['a key without its method', { ...basic, private_key: 'x' }, '/oauth/private_key not_allowed'],
    ['a secret beside a key', { ...signed, client_secret: 'x' }, '/oauth/client_secret not_allowed'],
    [
      'assertions for nobody',
      { ...signed, assertion_audience: undefined },
      '/oauth/assertion_audience required',
    ],
    ['an unknown member', { ...basic, password: 'x' }, '/oauth/password unknown_field'],
    ['a relative resource', { ...basic, resource: ['/x'] }, '/oauth/resource/0 bad_uri'],
    ['a resource with a fragment', { ...basic, resource: ['https://x/#y'] }, '/oauth/resource/0 bad_uri'],
    ['a scope with two spaces', { ...basic, scope: 'a  b' }, '/oauth/scope invalid_format'],
    ['a line break', { ...basic, client_id: 'a\r\nb' }, '/oauth/client_id invalid_format'],
    ['no key', { ...signed, private_key: 'hello' }, '/oauth/private_key bad_key'],
    ['a public key', { ...signed, private_key: publicPem() }, '/oauth/private_key bad_key'],
    ['a locked key', { ...signed, private_key: lockedPem() }, '/oauth/private_key bad_key'],
    ['a small key', { ...signed, private_key: rsaPem(1_024) }, '/oauth/private_key weak_key'],
    ['another curve', { ...signed, private_key: ecPem('P-384') }, '/oauth/private_key wrong_key_type'],
    ["another's certificate", { ...signed, private_key: { ...certified, ...ecJwk() } }, BAD_CERTIFICATE],
    [
      'a certificate that is none',
      { ...signed, private_key: { ...ecJwk(), x5c: ['AAAA'] } },
      BAD_CERTIFICATE,
    ],
    ['no certificate', { ...signed, private_key: { ...ecJwk(), x5c: 7 } }, BAD_CERTIFICATE],
    [
      'a token held for a week',
      { ...basic, max_token_ttl_seconds: 604_800 },
      '/oauth/max_token_ttl_seconds too_large',
    ],
    ['a key for another alg', { ...signed, private_key: ecPem(), alg: 'RS256' }, '/oauth/alg wrong_key_type'],
  ])('is refused with %s', async (_, oauth, rule) => {
    expect(await refused({ oauth })).toEqual([rule]);
  });

  it('is refused beside a header of ours', async () => {
    expect(await refused({ oauth: basic, headers: { Authorization: 'x' } })).toEqual([
      '/headers/Authorization not_allowed',
    ]);
  });

  it.each([undefined, 'ES256', 'EdDSA', 'RS256', 'PS256'])('gets a key of ours: %s', async (alg) => {
    const made = await created({ oauth: { ...signed, alg } });
    expect(made.oauth).toMatchObject({ alg: alg ?? 'ES256', assertion_audience: 'https://idp.example' });
    const { status, headers, json } = await keySet(made.oauth.jwks_url);
    expect([status, headers.get('cache-control')]).toEqual([200, 'public, max-age=300']);
    const [key] = json.keys;
    expect(key).toMatchObject({ kid: made.oauth.kid, alg: alg ?? 'ES256', use: 'sig' });
    expect(await calculateJwkThumbprint(key as JWK)).toBe(made.oauth.kid);
    await expect(importJWK(key as JWK, alg ?? 'ES256')).resolves.toBeDefined();
    for (const member of PRIVATE_MEMBERS) expect(key).not.toHaveProperty(member);
  });

  it('brings its own key, of which only the public half is ever shown', async () => {
    const pairs = [
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      generateKeyPairSync('rsa', { modulusLength: 2_048 }),
      generateKeyPairSync('ed25519'),
    ];
    for (const { privateKey, publicKey } of pairs) {
      const jwk = privateKey.export({ format: 'jwk' });
      const forms = [privateKey.export({ type: 'pkcs8', format: 'pem' }), jwk, JSON.stringify(jwk)];
      for (const private_key of forms) {
        const made = await created({ oauth: { ...signed, private_key } });
        const { json, bytes } = await keySet(made.oauth.jwks_url);
        expect(json.keys).toEqual([
          { ...(await exportJWK(publicKey)), kid: made.oauth.kid, alg: made.oauth.alg, use: 'sig' },
        ]);
        const shown = bytes.toString() + JSON.stringify(made) + JSON.stringify(await toldOf(made));
        expect(shown).not.toContain(jwk.d);
      }
      expect(await everythingStored()).not.toContain(jwk.d);
    }
  });

  it('keeps the name its key came with, and the URL of its key set when the key changes', async () => {
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
    const made = await created({ oauth: { ...signed, private_key: { ...own, kid: 'our-key-7' } } });
    expect(made.oauth.kid).toBe('our-key-7');
    const kept = await patch(made.id, { oauth: { client_id: 'them' } });
    expect((await toldOf(kept.json)).oauth?.credential).toEqual((await toldOf(made)).oauth?.credential);
    const next = await patch(made.id, { oauth: { private_key: rsaPem(2_048) } });
    expect(next.json.oauth).toMatchObject({ alg: 'RS256', jwks_url: made.oauth.jwks_url });
    const [key] = (await keySet(made.oauth.jwks_url)).json.keys;
    expect(key?.kid).toBe(next.json.oauth?.kid);
    const secretly = await patch(made.id, { oauth: { method: 'client_secret_post', client_secret: 'x' } });
    expect(secretly.json.oauth).toMatchObject({ alg: null, kid: null, assertion_audience: null });
    expect((await keySet(made.oauth.jwks_url)).status).toBe(404);
  });

  it('is named by the certificate it came with, too', async () => {
    const made = await created({ oauth: { ...signed, private_key: certified } });
    const { x5c, x5t } = certified;
    expect((await keySet(made.oauth.jwks_url)).json.keys).toMatchObject([{ x5c, x5t, kid: made.oauth.kid }]);
    expect((await toldOf(made)).oauth?.key?.public).toMatchObject({ x5c, x5t });
  });

  it('gets a new key of ours, which is published before it signs', async () => {
    const made = await created({ oauth: signed });
    const before = await toldOf(made);
    const startedAt = Date.now();
    const changed = await patch(made.id, { oauth: { private_key: null } });
    expect(changed.json.oauth).toMatchObject({ alg: 'ES256', jwks_url: made.oauth.jwks_url });
    expect(changed.json.oauth?.kid).not.toBe(made.oauth.kid);
    const kids = async () => (await keySet(made.oauth.jwks_url)).json.keys.map(({ kid }) => kid);
    expect(await kids()).toEqual([changed.json.oauth?.kid, made.oauth.kid]);
    const previous = (await toldOf(changed.json)).oauth?.key?.previous;
    expect(previous).toMatchObject({ credential: before.oauth?.credential, public: { kid: made.oauth.kid } });
    expect(previous?.signsUntil).toBeGreaterThanOrEqual(startedAt + 330_000);

    // Once more before the first change has spread: the oldest one is what token servers know.
    const again = await patch(made.id, { oauth: { private_key: null } });
    expect(await kids()).toEqual([again.json.oauth?.kid, made.oauth.kid]);
    const { rows } = await bed.database.query<{ state: string }>(
      `select state->'oauth' as state from config.entity_version where entity_id = $1`,
      [made.id],
    );
    expect(rows).toHaveLength(3);
    expect(JSON.stringify(rows)).not.toContain('sealed');

    // A key that is brought is in use at once, and the old ones are gone.
    const brought = await patch(made.id, { oauth: { private_key: ecPem() } });
    expect(await kids()).toEqual([brought.json.oauth?.kid]);
  });

  it('is gone with its endpoint', async () => {
    const made = await created({ oauth: signed, client_certificate: pair });
    await tenant.rest.delete(`/v1/endpoints/${made.id}`);
    expect((await keySet(made.oauth.jwks_url)).status).toBe(404);
    const state = await toldOf({ ...made, version: 2 });
    expect([state.oauth, state.clientCertificate]).toEqual([null, null]);
  });

  it.each(['/.well-known/jwks/', '/.well-known/jwks/x.json', `/.well-known/jwks/${'A'.repeat(32)}.json`])(
    'answers 404 for %s',
    async (path) => {
      expect(refusalOf(await keySet(path))[0]).toBe(404);
    },
  );
});

const pair = { certificate, private_key: certificateKey };

describe("an endpoint's client certificate", () => {
  it('is shown with its subject and end, and never with its key', async () => {
    const made = await created({ client_certificate: pair });
    expect(made.client_certificate).toEqual({
      certificate: `${certificate}\n`,
      subject: 'O=Acme, CN=client.acme.example',
      expires_at: '2126-10-28T11:53:12.000Z',
    });
    const told = await toldOf(made);
    expect(told.clientCertificate).toMatchObject({ chain: `${certificate}\n` });
    const [, line] = certificateKey.split('\n');
    expect((await everythingStored()) + JSON.stringify([made, told])).not.toContain(line);
    const named = await patch(made.id, { description: 'x', client_certificate: { certificate } });
    expect((await toldOf(named.json)).clientCertificate).toEqual(told.clientCertificate);
    const none = await patch(made.id, { client_certificate: null });
    expect(none.json.client_certificate).toBeNull();
  });

  it.each<[string, object, string]>([
    ['no key', { certificate }, '/client_certificate/private_key required'],
    ['the key of another', { ...pair, private_key: ecPem() }, '/client_certificate/private_key key_mismatch'],
    ['a key that is none', { ...pair, private_key: 'hello' }, '/client_certificate/private_key bad_key'],
    ['a locked key', { ...pair, private_key: lockedPem() }, '/client_certificate/private_key bad_key'],
    [
      'a certificate that is none',
      { ...pair, certificate: 'hello' },
      '/client_certificate/certificate bad_certificate',
    ],
    [
      'a damaged one',
      { ...pair, certificate: certificate.replace('MIIB', 'AAAA') },
      '/client_certificate/certificate bad_certificate',
    ],
    [
      'one that has expired',
      { ...pair, certificate: expiredCertificate },
      '/client_certificate/certificate expired',
    ],
    [
      'too many',
      { ...pair, certificate: `${certificate}\n`.repeat(11) },
      '/client_certificate/certificate bad_certificate',
    ],
  ])('is refused with %s', async (_, client_certificate, rule) => {
    expect(await refused({ client_certificate })).toEqual([rule]);
  });
});

function ecJwk(): object {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
}

function ecPem(namedCurve = 'P-256'): string {
  return generateKeyPairSync('ec', { namedCurve })
    .privateKey.export({ type: 'sec1', format: 'pem' })
    .toString();
}

function rsaPem(modulusLength: number): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength });
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
}

function publicPem(): string {
  return generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

function lockedPem(): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  const lock = { cipher: 'aes-256-cbc', passphrase: 'x' } as const;
  return privateKey.export({ type: 'pkcs8', format: 'pem', ...lock }).toString();
}

/** Every row that may hold something of an endpoint, as text. */
async function everythingStored(): Promise<string> {
  const tables = ['endpoint', 'entity_version', 'audit_entry', 'outbox'];
  const found = await Promise.all(
    tables.map((table) =>
      bed.database.query<{ row: string }>(`select t::text as row from config.${table} t`),
    ),
  );
  return found.flatMap(({ rows }) => rows.map(({ row }) => row)).join('\n');
}
