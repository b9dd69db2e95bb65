import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  attemptId,
  deliveryId,
  type EndpointAsOf,
  type EndpointVersion,
  type HistoryAttempt,
  newId,
} from '@posthaste/contracts';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// What an endpoint was, and who made it so; over HTTP, from the version rows real changes leave.

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;
let own: RestClient;
let foreign: RestClient;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant();
  for (const uid of ['acme', 'other']) await tenant.putAccount(uid);
  own = await bed.api.accountClient(tenant, 'acme');
  foreign = await bed.api.accountClient(tenant, 'other');
}, 60_000);
afterAll(() => bed.stop());

const url = 'https://receiver.example/hooks';
const create = (fields: object = {}): Promise<{ id: string }> =>
  tenant.rest.ask('POST', '/v1/accounts/acme/endpoints', { body: { url, ...fields } });
const change = (id: string, body: object): Promise<unknown> =>
  tenant.rest.ask('PATCH', `/v1/endpoints/${id}`, { body });
const versionsOf = (id: string): Promise<EndpointVersion[]> =>
  tenant.rest.all(`/v1/endpoints/${id}/versions`);
const fieldsOf = ({ changed }: EndpointVersion): string[] => changed.map(({ field }) => field).sort();

describe('the versions of an endpoint', () => {
  it('tell what each change made different, who made it, from where, and by which request', async () => {
    const { id } = await create({ event_types: ['a.b'] });
    const headers = { 'x-request-id': 'req-of-the-change' };
    await own.ask('PATCH', `/v1/endpoints/${id}`, { body: { url: `${url}/2`, event_types: [] }, headers });
    const [newest, first, ...more] = await versionsOf(id);
    expect(more).toEqual([]);
    const { rows } = await bed.database.query<{ id: string }>(
      `select id from config.api_key where scope = 'account' and account = (select account from config.endpoint where id = $1)`,
      [id],
    );
    expect(newest).toEqual({
      version: 2,
      at: expect.any(String) as unknown,
      action: 'endpoint.updated',
      actor: rows[0]?.id,
      from: '127.0.0.1',
      request_id: 'req-of-the-change',
      changed: [
        { field: 'url', before: url, after: `${url}/2` },
        { field: 'event_types', before: ['a.b'], after: [] },
      ],
    });
    expect(first).toMatchObject({ version: 1, action: 'endpoint.created', actor: tenant.keyId });
    expect(first?.changed).toContainEqual({ field: 'event_types', before: null, after: ['a.b'] });
    expect(first?.changed).toContainEqual({ field: 'secret' });
  });

  it('name secrets that changed, and never show one', async () => {
    const secret = `whsec_${Buffer.alloc(32, 'an old secret').toString('base64')}`;
    const oauth = {
      token_url: 'https://login.example/token',
      client_id: 'us',
      client_secret: 'first-secret',
    };
    const { id } = await create({ secret, oauth });
    await tenant.rest.ask('POST', `/v1/endpoints/${id}/secret/rotate`, { body: {} });
    await change(id, { oauth: { client_secret: 'second-secret' } });
    await change(id, { oauth: { client_id: 'them', client_secret: 'third-secret' } });
    const answer = await tenant.rest.get<{ data: EndpointVersion[] }>(`/v1/endpoints/${id}/versions`);
    const [both, hidden, rotated] = answer.json.data;
    expect(rotated?.changed).toEqual([{ field: 'secret' }]);
    expect(hidden?.changed).toEqual([{ field: 'oauth' }]);
    expect(both?.changed).toMatchObject([
      { field: 'oauth', before: { client_id: 'us' }, after: { client_id: 'them' } },
    ]);
    const texts = [answer.bytes.toString()];
    for (const version of [1, 2, 3, 4]) {
      texts.push((await tenant.rest.get(`/v1/endpoints/${id}?version=${version}`)).bytes.toString());
    }
    expect(texts.join()).not.toMatch(/first-secret|second-secret|third-secret|whsec_|sealed|"credential"/);
    expect(texts[1]).toContain('"client_id":"us"');
  });

  it('are paged, newest first, while changes arrive', async () => {
    const { id } = await create();
    for (let n = 1; n <= 4; n++) await change(id, { description: `change ${n}` });
    const path = `/v1/endpoints/${id}/versions?limit=2`;
    type Page = { data: EndpointVersion[]; next_cursor: string | null };
    const seen: number[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: Page = await tenant.rest.ask('GET', cursor === '' ? path : `${path}&cursor=${cursor}`);
      seen.push(...page.data.map(({ version }) => version));
      cursor = page.next_cursor;
      await change(id, { description: `while reading ${seen.length}` });
    }
    expect(seen).toEqual([5, 4, 3, 2, 1]);
    const { next_cursor } = await tenant.rest.ask<Page>('GET', path);
    const elsewhere = `/v1/endpoints/${(await create()).id}/versions?cursor=${next_cursor}`;
    expect(refusalOf(await tenant.rest.get(elsewhere))).toEqual([
      400,
      'invalid_cursor',
      '?cursor invalid_cursor',
    ]);
  });

  it('stay when the endpoint is deleted, for those who could see it', async () => {
    const { id } = await create({ uid: 'gone' });
    await tenant.deleteEndpoint(id);
    const [last] = await versionsOf(id);
    expect(last).toMatchObject({ version: 2, action: 'endpoint.deleted' });
    expect(fieldsOf(last as EndpointVersion)).toEqual(['deleted']);
    expect((await own.get(`/v1/endpoints/${id}/versions`)).status).toBe(200);
    const absent = [404, 'not_found', ':endpoint absent'];
    const stranger = (await bed.api.newTenant()).rest;
    for (const client of [foreign, stranger]) {
      expect(refusalOf(await client.get(`/v1/endpoints/${id}/versions`))).toEqual(absent);
      expect(refusalOf(await client.get(`/v1/endpoints/${id}?version=1`))).toEqual(absent);
    }
    // A uid is free for another endpoint, so it names none that is gone.
    expect(refusalOf(await tenant.rest.get('/v1/endpoints/gone/versions'))).toEqual(absent);
    expect(refusalOf(await tenant.rest.get(`/v1/endpoints/${id}`))).toEqual(absent);
  });

  it('need the permission to read endpoints', async () => {
    const { id } = await create();
    const key = await bed.api.accountClient(tenant, 'acme', ['messages:read']);
    expect(refusalOf(await key.get(`/v1/endpoints/${id}/versions`)).slice(0, 2)).toEqual([403, 'forbidden']);
  });
});

describe('an endpoint as it was', () => {
  const asOf = (id: string, query: string) => tenant.rest.get<EndpointAsOf>(`/v1/endpoints/${id}?${query}`);

  it('at a version or a time is the whole endpoint, as it was answered then', async () => {
    const { id, ...created } = await create({ uid: 'main', headers: { 'x-team': 'billing' } });
    await tenant.rest.ask('POST', `/v1/endpoints/${id}/disable`, {});
    const disabled = (await tenant.rest.get<{ health: unknown }>(`/v1/endpoints/${id}`)).json;
    await change(id, { url: `${url}/3`, profile: null, metadata: { a: 'b' } });
    const [third, second, first] = await versionsOf(id);
    expect((await asOf(id, 'version=1')).json).toEqual({ id, ...created, deleted: false, is_current: false });
    const atVersion = await asOf(id, 'version=2');
    expect(atVersion.headers.get('etag')).toBe('"2"');
    expect({ ...atVersion.json, health: disabled.health }).toEqual({
      ...disabled,
      deleted: false,
      is_current: false,
    });
    expect((await asOf(id, 'version=3')).json).toMatchObject({ version: 3, is_current: true });
    // A change counts from its own instant on; versions of one millisecond give the last of them.
    const at = (version: EndpointVersion | undefined, ms = 0) =>
      asOf('main', `at=${new Date(Date.parse(version?.at ?? '') + ms).toISOString()}`);
    expect((await at(third)).json).toMatchObject({ version: 3, url: `${url}/3` });
    expect((await at(third, -1)).json.version).toBe(third?.at === second?.at ? 1 : 2);
    expect(refusalOf(await at(first, -1))).toEqual([404, 'not_found', '?at absent']);
    const viaAccount = await tenant.rest.get<EndpointAsOf>('/v1/accounts/acme/endpoints/main?version=1');
    expect(viaAccount.json.version).toBe(1);
  });

  it('at an attempt is what that attempt was made by', async () => {
    const [one, two] = [await create(), await create()];
    await change(one.id, { url: `${url}/new` });
    const message = newId('message');
    const delivery = deliveryId(message, one.id);
    const made = { id: attemptId(delivery, 1), delivery, endpoint_version: 1 } as HistoryAttempt;
    history.replies['GetAttempt'] = ({ id }) => (id === made.id ? { attempt: made } : {});
    history.replies['GetDelivery'] = () => ({ delivery: { id: delivery, message, endpoint: one.id } });
    expect((await asOf(one.id, `attempt=${made.id}`)).json).toMatchObject({ version: 1, url });
    expect(history.asked).toContainEqual({
      method: 'GetAttempt',
      request: { tenant: tenant.id, id: made.id },
    });
    const absent = [404, 'not_found', '?attempt absent'];
    expect(refusalOf(await asOf(two.id, `attempt=${made.id}`))).toEqual(absent);
    expect(refusalOf(await asOf(one.id, `attempt=${attemptId(delivery, 2)}`))).toEqual(absent);
    expect(refusalOf(await asOf(one.id, 'attempt=none'))).toEqual(absent);
  });

  it('is there until it was deleted, and not after', async () => {
    const { id } = await create();
    const born = (await versionsOf(id))[0]?.at ?? '';
    await tenant.deleteEndpoint(id);
    expect((await asOf(id, 'version=2')).json).toMatchObject({ deleted: true, is_current: true });
    expect((await asOf(id, 'version=1')).json).toMatchObject({ deleted: false, url });
    const later = new Date(Date.parse(born) + 3_600_000).toISOString();
    expect(refusalOf(await asOf(id, `at=${later}`))).toEqual([404, 'not_found', '?at absent']);
  });

  it.each([
    ['version=0', '?version too_small'],
    ['version=two', '?version wrong_type'],
    ['at=yesterday', '?at invalid_format'],
    ['at=2026-01-01T00:00:00Z&version=1', '?at only_one'],
    ['before=1', '?before unknown_field'],
  ])('asked for by %s is refused', async (query, error) => {
    const { id } = await create();
    expect(refusalOf(await asOf(id, query))).toEqual([400, 'invalid_request', error]);
  });

  it('of a version it never had is not there', async () => {
    const { id } = await create();
    expect(refusalOf(await asOf(id, 'version=9'))).toEqual([404, 'not_found', '?version absent']);
  });
});
