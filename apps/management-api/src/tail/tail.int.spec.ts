import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type DeliveryEvent, type Endpoint, type TailedAttempt, topics } from '@posthaste/contracts';
import { createLogger } from '@posthaste/runtime';
import { type RestClient, StreamClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { EventSource } from 'eventsource';
import { DataSource } from 'typeorm';
import { entities } from '../app.module.js';
import { startApi } from '../proving/api-under-test.js';
import { answered, attemptAt, type Attempted, gone, refused } from '../proving/attempt-facts.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { Tail } from './tail.js';

// The tail over HTTP, on the log of PostgreSQL; what its readers promise is proven in tail.spec.ts.

let bed: TestBed;
let tenant: TenantClient;
let own: RestClient;
let shop: Attempted;
let other: Attempted;
let foreign: Attempted;
const open: StreamClient[] = [];

beforeAll(async () => {
  bed = await startTestBed();
  tenant = await bed.api.newTenant();
  const stranger = await bed.api.newTenant('another');
  shop = await newEndpoint(tenant, 'shop');
  other = await newEndpoint(tenant, 'other');
  foreign = await newEndpoint(stranger, 'shop');
  own = await bed.api.accountClient(tenant, 'shop');
}, 60_000);
afterAll(() => bed.stop());
afterEach(() => open.splice(0).forEach((client) => client.close()));

async function newEndpoint(of: TenantClient, account: string): Promise<Attempted> {
  await of.putAccount(account);
  const body = { url: 'https://receiver.example/', uid: `of-${account}`, retry_policy: { preset: 'none' } };
  const made = await of.rest.ask<Endpoint>('POST', `/v1/accounts/${account}/endpoints`, { body });
  return { ...made, tenant: of.id };
}

/** What a dispatcher would have written; answers the attempt's id. */
async function attempt(of: Attempted, outcome = answered, more: object = {}): Promise<string> {
  const event = { ...attemptAt(Date.now(), of, outcome), ...more } as DeliveryEvent & { id: string };
  await bed.log.producer.append([{ topic: topics.deliveries, ...topics.deliveries.encode(event) }]);
  return event.id;
}

async function tail(
  query = '',
  { key = tenant.key, headers = {}, api = bed.api } = {},
): Promise<StreamClient> {
  const url = `${api.url}/v1/tail${query}`;
  const client = await StreamClient.open(url, { authorization: `Bearer ${key}`, ...headers });
  open.push(client);
  // Told its place, it misses nothing from here on.
  await waitFor(() => client.events.length > 0 || client.status !== 200);
  return client;
}

const shown = ({ events }: StreamClient): TailedAttempt[] =>
  events.filter(({ event }) => event === 'message').map(({ data }) => JSON.parse(data) as TailedAttempt);
const idsIn = (client: StreamClient): string[] => shown(client).map(({ id }) => id);
const whenHas = (client: StreamClient, id: string): Promise<unknown> =>
  waitFor(() => idsIn(client).includes(id), { what: `the attempt ${id}` });

describe('the tail', () => {
  it('is server-sent events, each an attempt as the lists show it, with what it belongs to', async () => {
    const client = await tail();
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    const response = {
      status: 503,
      headers: { server: 'x' },
      body: Buffer.from('no\n').toString('base64'),
      bodyTruncated: false,
    };
    const id = await attempt(shop, refused, { response });
    await whenHas(client, id);
    expect(shown(client)[0]).toMatchObject({
      id,
      number: 1,
      trigger: 'publish',
      outcome: 'failed',
      error: { class: 'http_status' },
      response: { status: 503, body: 'no\n', body_encoding: 'utf-8' },
      account_id: shop.account_id,
      endpoint_id: shop.id,
      event_type: 'invoice.paid',
      delivery_status: 'exhausted',
      next_attempt_at: null,
    });
    expect(shown(client)[0]).not.toHaveProperty('shadow');
  });

  it('shows a key its own, and of that what is asked for', async () => {
    const everything = await tail();
    const ofKey = await tail('', { key: own.key ?? '' });
    const filters: [string, (ids: Record<string, string>) => (string | undefined)[]][] = [
      ['?account=other', ({ c }) => [c]],
      [`?endpoint_id=${shop.id}`, ({ a, b, d }) => [a, b, d]],
      ['?endpoint_id=of-other', ({ c }) => [c]],
      ['?outcome=failed', ({ b, d }) => [b, d]],
      ['?status=delivered', ({ a, c }) => [a, c]],
      ['?status=cancelled', ({ d }) => [d]],
      ['?error_class=http_status', ({ b, d }) => [b, d]],
      ['?status_code=410', ({ d }) => [d]],
      ['?event_type=order.placed', ({ c }) => [c]],
      ['?account=shop&outcome=succeeded', ({ a }) => [a]],
    ];
    const filtered = await Promise.all(filters.map(([query]) => tail(query)));
    await attempt(foreign);
    const a = await attempt(shop);
    const b = await attempt(shop, refused);
    const c = await attempt(other, answered, { eventType: 'order.placed' });
    const d = await attempt(shop, gone, {
      response: { status: 410, headers: {}, body: '', bodyTruncated: false },
    });
    await Promise.all([a, b, c, d].map((id) => whenHas(everything, id)));
    await Promise.all([a, b, d].map((id) => whenHas(ofKey, id)));
    expect(idsIn(everything).sort()).toEqual([a, b, c, d].sort());
    expect(idsIn(ofKey)).toEqual([a, b, d]);
    for (const [i, [query, wanted]] of filters.entries()) {
      const client = filtered[i] as StreamClient;
      const ids = wanted({ a, b, c, d });
      await waitFor(() => idsIn(client).length >= ids.length, { what: query });
      expect([query, idsIn(client).sort()]).toEqual([query, ids.sort()]);
    }
  });

  it('shows resends and replays, and no copies', async () => {
    const client = await tail();
    await attempt(shop, answered, { type: 'ShadowAttempted', url: 'https://copy.example/' });
    const resent = await attempt(shop, answered, { trigger: 'resend', attempt: 2 });
    const recovered = await attempt(shop, answered, { trigger: 'recover', attempt: 2 });
    await whenHas(client, recovered);
    expect(shown(client).map(({ id, trigger }) => [id, trigger])).toEqual([
      [resent, 'resend'],
      [recovered, 'recover'],
    ]);
  });

  it('goes on after the id of any event, which goes before `after`', async () => {
    const first = await tail();
    const start = first.events[0]?.id ?? '';
    const a = await attempt(shop);
    await whenHas(first, a);
    first.close();
    const b = await attempt(other);
    const afterA = await tail('', { headers: { 'last-event-id': first.events.at(-1)?.id ?? '' } });
    const byQuery = await tail(`?after=${start}`);
    const both = await tail(`?after=${start}`, {
      headers: { 'last-event-id': first.events.at(-1)?.id ?? '' },
    });
    await Promise.all([afterA, byQuery, both].map((client) => whenHas(client, b)));
    expect([idsIn(afterA), idsIn(byQuery).sort(), idsIn(both)]).toEqual([[b], [a, b].sort(), [b]]);
  });

  it('refuses what it cannot send, in our own words', async () => {
    const { events } = await tail();
    const [, ...next] = (events[0]?.id ?? '').split('.');
    const old = [(Date.now() - 3 * 3_600_000).toString(36), ...next.map(() => '0')].join('.');
    const beyond = [Date.now().toString(36), ...next.map(() => 'zzzz')].join('.');
    const refusals: [RestClient, string, unknown[]][] = [
      [tenant.rest, `?after=${old}`, [410, 'tail_expired', '?after tail_expired']],
      [tenant.rest, `?after=${beyond}`, [410, 'tail_expired', '?after tail_expired']],
      [tenant.rest, '?after=here', [400, 'invalid_request', '?after invalid_format']],
      [tenant.rest, '?tenant=ten_1', [400, 'invalid_request', '?tenant unknown_field']],
      [tenant.rest, '?status=pending', [400, 'invalid_request', '?status invalid_value']],
      [tenant.rest, '?account=nobody', [404, 'not_found', '?account absent']],
      [own, '?account=other', [404, 'not_found', '?account absent']],
      [own, `?endpoint_id=${other.id}`, [404, 'not_found', '?endpoint_id absent']],
      [tenant.rest, `?endpoint_id=${foreign.id}`, [404, 'not_found', '?endpoint_id absent']],
      [bed.api.operator, '', [403, 'forbidden', 'authorization wrong_key']],
    ];
    for (const [client, query, expected] of refusals) {
      expect([query, refusalOf(await client.get(`/v1/tail${query}`))]).toEqual([query, expected]);
    }
    const garbled = await tenant.rest.get('/v1/tail', { 'last-event-id': 'x' });
    expect(refusalOf(garbled)).toEqual([400, 'invalid_request', 'last-event-id invalid_format']);
    const quiet = [(Date.now() - 3 * 3_600_000).toString(36), ...next].join('.');
    const ends = await bed.log.admin.endOffsets(topics.deliveries);
    // Old, but nothing has happened since.
    expect(ends.map(({ offset }) => offset.toString(36))).toEqual(next);
    expect((await tail(`?after=${quiet}`)).status).toBe(200);
  });

  it('is followed by an EventSource through a restart of the server, without loss or repetition', async () => {
    let replica = await startApi(bed.postgres.url);
    const { url } = replica;
    const source = new EventSource(`${url}/v1/tail`, {
      fetch: (input, init) =>
        fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${tenant.key}` } }),
    });
    const got: string[] = [];
    let isPlaced = false;
    source.addEventListener('message', ({ data }) =>
      got.push((JSON.parse(data as string) as TailedAttempt).id),
    );
    source.addEventListener('position', () => (isPlaced = true));
    try {
      await waitFor(() => isPlaced);
      const written = [await attempt(shop), await attempt(other)];
      await waitFor(() => got.length === 2);
      await replica.stop();
      for (let n = 0; n < 20; n++) written.push(await attempt(n % 2 === 0 ? shop : other));
      replica = await startApi(bed.postgres.url, { HTTP_PORT: new URL(url).port });
      await waitFor(() => got.length >= written.length, { what: 'the missed attempts', deadlineMs: 20_000 });
      written.push(await attempt(shop));
      await waitFor(() => got.length >= written.length, { what: 'the next attempt' });
      expect(got.toSorted()).toEqual(written.toSorted());
    } finally {
      source.close();
      await replica.stop();
    }
  }, 60_000);

  it('ends when the server stops, even for a client that does not read', async () => {
    const replica = await startApi(bed.postgres.url);
    const [idle, slow] = [await tail('', { api: replica }), await tail('', { api: replica })];
    slow.pause();
    const body = Buffer.alloc(16_000, 'x').toString('base64');
    const response = { status: 200, headers: {}, body, bodyTruncated: true };
    for (let n = 0; n < 200; n++) await attempt(shop, answered, { response });
    await waitFor(() => idsIn(idle).length >= 200);
    await replica.stop();
    await idle.ended;
    expect(idle.comments).toContain('stopping');
  }, 30_000);

  it('ends for a key that is revoked', async () => {
    const database = await new DataSource({ type: 'postgres', url: bed.postgres.url, entities }).initialize();
    const { logger } = createLogger('tail-spec', 'silent');
    const quick = new Tail(bed.log, database, logger, { standingEveryMs: 20 });
    const keys = `/v1/tenants/${tenant.id}/keys`;
    const [kept, revoked] = await Promise.all(
      [1, 2].map(() => bed.api.operator.ask<{ id: string }>('POST', keys, { body: { scope: 'tenant' } })),
    );
    const follow = async (key = ''): Promise<string[]> => {
      const opening = await quick.opening(null);
      if (opening.kind === 'expired') throw new Error('now is a place');
      const ends: string[] = [];
      const sink = { send: () => undefined, end: (reason: string) => void ends.push(reason) };
      quick.follow(opening, { tenant: tenant.id, account: null, endpoint: null }, sink, key);
      return ends;
    };
    const [staying, leaving] = [await follow(kept?.id), await follow(revoked?.id)];
    await bed.api.operator.ask('DELETE', `${keys}/${revoked?.id}`);
    await waitFor(() => leaving.length > 0);
    expect([staying, leaving]).toEqual([[], ['gone']]);
    await quick.stop();
    await database.destroy();
  });

  it('reads nothing while nobody follows', async () => {
    for (const client of open.splice(0)) client.close();
    const members = async (): Promise<unknown> => {
      const { rows } = await bed.database.query(
        `select member from log.group_member where group_name like 'management-api-tail-%'`,
      );
      return rows.length === 0;
    };
    await waitFor(members, { what: 'no readers', deadlineMs: 25_000, everyMs: 200 });
  }, 30_000);
});
