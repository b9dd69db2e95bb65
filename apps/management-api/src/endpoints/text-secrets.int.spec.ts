import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Endpoint, type EndpointSecret, topics } from '@posthaste/contracts';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import { Vault } from '@posthaste/vault';
import { newSigningSecret } from '@posthaste/wire';
import { DataSource } from 'typeorm';
import { entities } from '../app.module.js';
import { Changes } from '../changes/changes.js';
import { HistoryReader } from '../history/history-reader.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { EndpointSecrets } from './endpoint-secrets.js';

// Secrets of the profiles whose HMAC has the secret's own characters as its key: one, or none.

let bed: TestBed;
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant('Acme');
  await tenant.rest.put('/v1/accounts/a', {});
}, 60_000);
afterAll(() => bed.stop());

const text = 'a-text~of{mine}"\\';
const v1 = newSigningSecret('v1');

const post = (fields: object) =>
  tenant.rest.post<Endpoint>('/v1/accounts/a/endpoints', { url: 'https://example.com/hooks', ...fields });
async function create(fields: object): Promise<string> {
  const { json, status } = await post(fields);
  expect(status).toBe(201);
  return `/v1/endpoints/${json.id}`;
}
const secretOf = (path: string, query = '') => tenant.rest.get<EndpointSecret>(`${path}/secret${query}`);
const rotate = async (path: string, body: object = {}) =>
  expect((await tenant.rest.post(`${path}/secret/rotate`, body)).status).toBe(204);

describe.each(['linkup', 'middesk'])('an endpoint of profile %s', (profile) => {
  it('has no secret unless it is given one, and gets one by a rotation', async () => {
    const path = await create({ profile });
    expect(refusalOf(await secretOf(path))).toEqual([404, 'not_found', ':endpoint absent']);
    await rotate(path);
    const { json } = await secretOf(path);
    expect(json.key).toMatch(/^[0-9a-f]{64}$/);
    expect(json).toMatchObject({ public_key: null, secrets: [{ version: 'text', expires_at: null }] });
  });

  it('has the text it was given, until a rotation replaces it at once, whatever overlap is asked for', async () => {
    const path = await create({ profile, secret: text });
    expect((await secretOf(path)).json).toMatchObject({ key: text, secrets: [{ version: 'text' }] });
    await rotate(path, { overlap_seconds: 604_800 });
    const { key, secrets } = (await secretOf(path)).json;
    expect(key).not.toBe(text);
    expect(secrets).toHaveLength(1);
    await rotate(path, { key: text, version: 'text' });
    expect((await secretOf(path, '?version=text')).json.key).toBe(text);
    expect(refusalOf(await secretOf(path, '?version=v1'))).toEqual([404, 'not_found', '?version absent']);
  });

  it('may have a text that looks like a secret of another kind, and takes it as a text', async () => {
    const secret = newSigningSecret('v1a');
    const path = await create({ profile, secret });
    const { json } = await secretOf(path);
    expect(json).toMatchObject({ key: secret, public_key: null, secrets: [{ version: 'text' }] });
  });

  it('is no longer signed for when its only secret is ended', async () => {
    const path = await create({ profile, secret: text });
    const id = (await secretOf(path)).json.secrets[0]?.id;
    expect((await tenant.rest.delete(`${path}/secret/${id}`)).status).toBe(204);
    expect((await secretOf(path)).status).toBe(404);
    await rotate(path, { key: text });
    expect((await secretOf(path)).json.key).toBe(text);
  });

  it.each([
    ['of 7 characters', { key: 'a'.repeat(7) }, '/key bad_secret'],
    ['of 257 characters', { key: 'a'.repeat(257) }, '/key bad_secret'],
    ['with a space', { key: 'eight or more' }, '/key bad_secret'],
    ['with a line end', { key: 'eight-or-more\n' }, '/key bad_secret'],
    ['with a letter that is no ASCII', { key: 'acht-oder-mähr' }, '/key bad_secret'],
    ['for v1', { version: 'v1' }, '/version other_profile'],
    ['for v1a', { key: text, version: 'v1a' }, '/version other_profile'],
  ])('cannot have one %s', async (_, body, refusal) => {
    const path = await create({ profile, secret: text });
    const answer = await tenant.rest.post(`${path}/secret/rotate`, body);
    expect(refusalOf(answer)).toEqual([422, 'validation_failed', refusal]);
    expect((await secretOf(path)).json.key).toBe(text);
    if (!('key' in body) || 'version' in body) return;
    const refused = await post({ profile, secret: body.key });
    expect(refusalOf(refused)).toEqual([422, 'validation_failed', '/secret bad_secret']);
  });

  it('takes 8 and 256 characters', async () => {
    for (const length of [8, 256]) {
      const path = await create({ profile, secret: '~'.repeat(length) });
      expect((await secretOf(path)).json.key).toHaveLength(length);
    }
  });

  it('has its text in no version row, no audit entry and not in the log', async () => {
    const own = newSigningSecret('text');
    const path = await create({ profile, secret: own });
    const id = path.split('/').at(-1) ?? '';
    const { rows } = await bed.database.query<{ row: string }>(
      'select state::text as row from config.entity_version union all select entry::text from config.audit_entry',
    );
    const logged: string[] = [];
    const following = await bed.log.reader.follow(topics.config, ({ value }) => {
      logged.push(value.toString());
    });
    const state = await waitFor(() => logged.find((state) => state.includes(`"id":"${id}"`)) ?? null, {
      what: 'the endpoint in the log',
    });
    await following.close();
    expect(JSON.parse(state)).toMatchObject({ secrets: [{ version: 'text', sealed: expect.any(String) }] });
    expect([...logged, ...rows.map(({ row }) => row)].join()).not.toContain(own);
  });
});

describe.each(['standard', 'ada'])('an endpoint of profile %s', (profile) => {
  it('always has a secret of Standard Webhooks, and takes no other text', async () => {
    const path = await create({ profile });
    expect((await secretOf(path)).json).toMatchObject({ key: expect.stringMatching(/^whsec_/) });
    expect(refusalOf(await post({ profile, secret: text }))).toEqual([
      ...[422, 'validation_failed'],
      '/secret bad_secret',
    ]);
    for (const [body, refusal] of [
      [{ key: text }, '/key bad_secret'],
      [{ version: 'text' }, '/version other_profile'],
      [{ key: v1, version: 'text' }, '/version other_profile'],
    ] as const) {
      const refused = await tenant.rest.post(`${path}/secret/rotate`, body);
      expect(refusalOf(refused)).toEqual([422, 'validation_failed', refusal]);
    }
    await rotate(path, { key: v1, overlap_seconds: 60 });
    expect((await secretOf(path)).json).toMatchObject({ key: v1, secrets: [{}, {}] });
  });
});

describe('as facades ask for it, without our schemas, signing', () => {
  let database: DataSource;
  let secrets: EndpointSecrets;
  beforeAll(async () => {
    database = await new DataSource({ type: 'postgres', url: bed.postgres.url, entities }).initialize();
    const vault = new Vault([{ id: 'k1', key: randomBytes(32) }]);
    secrets = new EndpointSecrets(new Changes(database), vault, new HistoryReader('127.0.0.1:1'));
  });
  afterAll(() => database.destroy());

  const asked = (path: string) =>
    [
      { actor: 'key_1', from: '127.0.0.1', requestId: 'r' },
      { tenant: tenant.id, account: null },
      { endpoint: path.split('/').at(-1) ?? '' },
    ] as const;
  const switchOff = (path: string) => secrets.switchOff(...asked(path));

  it.each(['short', 'eight or more', 'x'.repeat(257), ''])('has no text like %j', async (key) => {
    const path = await create({ profile: 'middesk', secret: text });
    const rotation = secrets.rotate(...asked(path), { key, overlap_seconds: 0 });
    const refusal = {
      pointer: '/key',
      code: 'bad_secret',
      message: 'must be 8 to 256 visible ASCII characters',
    };
    await expect(rotation).rejects.toMatchObject({ code: 'validation_failed', errors: [refusal] });
    expect((await secretOf(path)).json.key).toBe(text);
  });

  it('is off, and another time as well, without another version', async () => {
    const path = await create({ profile: 'linkup', secret: text });
    expect(await switchOff(path)).toMatchObject({ version: 2, secrets: [] });
    expect(await switchOff(path)).toMatchObject({ version: 2 });
    expect((await secretOf(path)).status).toBe(404);
  });

  it.each(['standard', 'ada'])('is never off for profile %s', async (profile) => {
    const path = await create({ profile });
    await expect(switchOff(path)).rejects.toMatchObject({ code: 'conflict' });
    expect((await secretOf(path)).json.key).toMatch(/^whsec_/);
  });
});
