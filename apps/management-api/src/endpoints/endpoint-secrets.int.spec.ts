import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Endpoint, type EndpointSecret, topics } from '@posthaste/contracts';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import { newSigningSecret, publicKeyOf } from '@posthaste/wire';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
const history = new ScriptedHistory({ GetLastAttempt: () => ({ started_at: lastAttemptAt }) });
let tenant: TenantClient;
let lastAttemptAt: number | undefined;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant('Acme');
  await tenant.rest.put('/v1/accounts/a', {});
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => (lastAttemptAt = undefined));

const ownV1 = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;

async function create(fields: object = {}): Promise<string> {
  const body = { url: 'https://example.com/hooks', ...fields };
  const { json, status } = await tenant.rest.post<Endpoint>('/v1/accounts/a/endpoints', body);
  expect(status).toBe(201);
  expect(JSON.stringify(json)).not.toMatch(/whs(ec|k)_/);
  return `/v1/endpoints/${json.id}`;
}

const secretOf = async (path: string, query = '') =>
  (await tenant.rest.get<EndpointSecret>(`${path}/secret${query}`)).json;
const liveOf = async (path: string) =>
  (await secretOf(path)).secrets.map(({ version, expires_at }) => [version, expires_at === null]);
const rotate = async (path: string, body: object = {}) =>
  expect((await tenant.rest.post(`${path}/secret/rotate`, body)).status).toBe(204);

describe('the signing secret of an endpoint', () => {
  it('is the own one or a new one, is shown with each reading audited, and rotated with an overlap', async () => {
    const path = await create({ secret: ownV1 });
    expect(await secretOf(path)).toEqual({
      key: ownV1,
      public_key: null,
      secrets: [
        {
          id: expect.stringMatching(/^sec_/),
          version: 'v1',
          created_at: expect.any(String),
          expires_at: null,
          last_used_at: null,
          public_key: null,
        },
      ],
    });
    const rotated = await tenant.rest.post(`${path}/secret/rotate`);
    expect([rotated.status, rotated.headers.get('etag'), rotated.bytes.length]).toEqual([204, '"2"', 0]);
    const { key, secrets } = await secretOf(path);
    expect(key).toMatch(/^whsec_/);
    expect(key).not.toBe(ownV1);
    expect(secrets.map(({ expires_at }) => expires_at)).toEqual([null, expect.any(String)]);
    const [fresh, old] = secrets;
    const overlapMs = Date.parse(old?.expires_at ?? '') - Date.parse(fresh?.created_at ?? '');
    expect(overlapMs).toBe(86_400_000);
    await rotate(path, { overlap_seconds: 0, key: ownV1 });
    expect(await liveOf(path)).toEqual([['v1', true]]);
    expect((await secretOf(path)).key).toBe(ownV1);
    const { rows } = await bed.database.query<{ action: string }>(
      `select entry->>'action' as action from config.audit_entry where entry->'entity'->>'id' = $1`,
      [path.split('/').at(-1)],
    );
    expect(rows.filter(({ action }) => action === 'endpoint.secret_read')).toHaveLength(4);
  });

  it('moves from v1 to v1a: both at once, then one', async () => {
    const path = await create({ secret: ownV1 });
    await rotate(path, { version: 'v1a' });
    const both = await secretOf(path);
    expect(both.key).toMatch(/^whsk_/);
    expect(both.public_key).toBe(publicKeyOf(both.key));
    expect(
      both.secrets.map(({ version, expires_at, public_key }) => [version, expires_at, public_key]),
    ).toEqual([
      ['v1a', null, both.public_key],
      ['v1', null, null],
    ]);
    expect((await secretOf(path, '?version=v1')).key).toBe(ownV1);

    const v1 = both.secrets[1]?.id ?? '';
    const ended = await tenant.rest.delete(`${path}/secret/${v1}`);
    expect([ended.status, ended.headers.get('etag')]).toEqual([204, '"3"']);
    expect(await liveOf(path)).toEqual([['v1a', true]]);
    const none = await tenant.rest.get(`${path}/secret?version=v1`);
    expect(refusalOf(none)).toEqual([404, 'not_found', '?version absent']);
    // The other way: a first v1 secret again.
    await rotate(path);
    expect(await liveOf(path)).toEqual([
      ['v1', true],
      ['v1a', true],
    ]);
  });

  it('is rotated for one version and left alone for the other', async () => {
    const path = await create();
    await rotate(path, { version: 'v1a' });
    await rotate(path, { version: 'v1a', overlap_seconds: 60 });
    expect(await liveOf(path)).toEqual([
      ['v1a', true],
      ['v1a', false],
      ['v1', true],
    ]);
    await rotate(path, { overlap_seconds: 0 });
    expect(await liveOf(path)).toEqual([
      ['v1', true],
      ['v1a', true],
      ['v1a', false],
    ]);
  });

  it('may be a v1a key of the own, from the start or by a rotation', async () => {
    const [first, second] = [newSigningSecret('v1a'), newSigningSecret('v1a')];
    const path = await create({ secret: first });
    expect(await secretOf(path)).toMatchObject({ key: first, public_key: publicKeyOf(first) });
    await rotate(path, { key: second, overlap_seconds: 0 });
    expect(await secretOf(path)).toMatchObject({ key: second, secrets: [{ version: 'v1a' }] });
  });

  it('is at most ten, of which those go first that would end first', async () => {
    const path = await create();
    const v1 = (await secretOf(path)).secrets[0]?.id;
    for (let i = 0; i < 12; i++) await rotate(path, { version: 'v1a', overlap_seconds: 1_000 });
    const { secrets } = await secretOf(path);
    expect(secrets).toHaveLength(10);
    expect(secrets.map(({ version, expires_at }) => [version, expires_at === null])).toEqual([
      ['v1a', true],
      ...Array.from({ length: 8 }, () => ['v1a', false]),
      ['v1', true],
    ]);
    expect(secrets.at(-1)?.id).toBe(v1);
    const created = secrets.slice(0, 9).map(({ created_at }) => created_at);
    expect(created).toEqual(created.toSorted().toReversed());
  });

  it('is never ended as the last one, even while an old one still overlaps', async () => {
    const path = await create();
    await rotate(path);
    const [newest, old] = (await secretOf(path)).secrets;
    const refused = await tenant.rest.delete(`${path}/secret/${newest?.id}`);
    expect(refusalOf(refused)).toEqual([409, 'conflict', ':secret last_secret']);
    expect((await tenant.rest.delete(`${path}/secret/${old?.id}`)).status).toBe(204);
    expect(await liveOf(path)).toEqual([['v1', true]]);
    const again = await tenant.rest.delete(`${path}/secret/${old?.id}`);
    expect(refusalOf(again)).toEqual([404, 'not_found', ':secret absent']);
    const stale = { 'if-match': '"1"' };
    expect((await tenant.rest.delete(`${path}/secret/${newest?.id}`, stale)).status).toBe(412);
  });

  const mixed = (() => {
    const halves = [newSigningSecret('v1a'), newSigningSecret('v1a')].map((text) =>
      Buffer.from(text.slice(5), 'base64'),
    ) as [Buffer, Buffer];
    const seedAndForeignKey = Buffer.concat([halves[0].subarray(0, 32), halves[1].subarray(32)]);
    return `whsk_${seedAndForeignKey.toString('base64')}`;
  })();
  it.each([
    ['of 23 bytes', { key: `whsec_${Buffer.alloc(23).toString('base64')}` }, '/key bad_secret'],
    ['of 65 bytes', { key: `whsec_${Buffer.alloc(65).toString('base64')}` }, '/key bad_secret'],
    ['without prefix', { key: ownV1.slice(6) }, '/key bad_secret'],
    ['that is only a seed', { key: `whsk_${Buffer.alloc(32).toString('base64')}` }, '/key bad_secret'],
    ['whose halves do not belong together', { key: mixed }, '/key bad_secret'],
    ['of the other version', { key: ownV1, version: 'v1a' }, '/key other_version'],
    ['of no version', { version: 'v2' }, '/version invalid_value'],
  ])('cannot be one %s', async (_, body, refusal) => {
    const path = await create();
    const answer = await tenant.rest.post(`${path}/secret/rotate`, body);
    expect(refusalOf(answer)).toEqual([422, 'validation_failed', refusal]);
    expect(await liveOf(path)).toEqual([['v1', true]]);
    if (!('key' in body) || 'version' in body) return;
    const created = { url: 'https://example.com/', secret: body.key };
    const refused = await tenant.rest.post('/v1/accounts/a/endpoints', created);
    expect(refusalOf(refused)).toEqual([422, 'validation_failed', '/secret bad_secret']);
  });

  it('was last used at the last attempt since it was made', async () => {
    const path = await create();
    lastAttemptAt = Date.now() + 5;
    await rotate(path);
    const at = new Date(lastAttemptAt).toISOString();
    const [, old] = (await secretOf(path)).secrets;
    expect(old?.last_used_at).toBe(at);
    lastAttemptAt = Date.parse(old?.created_at ?? '') - 1;
    expect((await secretOf(path)).secrets.map(({ last_used_at }) => last_used_at)).toEqual([null, null]);
    expect(history.asked.at(-1)?.request).toMatchObject({ tenant: tenant.id, endpoint: path.split('/')[3] });
  });

  it('can be read while history is away', async () => {
    const path = await create({ secret: ownV1 });
    history.stop();
    try {
      const answer = await secretOf(path);
      expect(answer).toMatchObject({ key: ownV1, secrets: [{ last_used_at: null }] });
    } finally {
      await history.start();
    }
  });

  it('is in no version row and not in the log, of either kind', async () => {
    const own = newSigningSecret('v1a');
    const path = await create({ secret: own });
    await rotate(path, { key: ownV1 });
    const { rows } = await bed.database.query<{ state: string }>(
      'select state::text from config.entity_version',
    );
    const logged: string[] = [];
    const following = await bed.log.reader.follow(topics.config, ({ value }) => {
      logged.push(value.toString());
    });
    const id = path.split('/').at(-1) ?? '';
    const versions = () => logged.filter((state) => state.includes(`"id":"${id}"`)).length;
    await waitFor(() => (versions() === 2 ? true : null), { what: 'both versions in the log' });
    await following.close();
    const everything = [...logged, ...rows.map(({ state }) => state)].join();
    for (const hidden of [own, ownV1]) expect(everything).not.toContain(hidden.slice(6, 30));
  });
});
