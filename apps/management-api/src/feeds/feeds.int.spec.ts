import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { FeedList } from '@posthaste/contracts';
import { type RestClient, StreamClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { type ApiUnderTest, startApi } from '../proving/api-under-test.js';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedFeed } from '../proving/scripted-feed.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// How feeds are read over HTTP. What numbers their items, and both together, is proven in audit-log and end to end.

let bed: TestBed;
let feed: ScriptedFeed;
let tenant: TenantClient;
let own: RestClient;
let endpoint: string;
let path: string;
const open: StreamClient[] = [];

beforeAll(async () => {
  feed = new ScriptedFeed();
  bed = await startTestBed({ history: feed.history });
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  await tenant.putAccount('other');
  endpoint = await newEndpoint({ mode: 'feed', uid: 'inbox' });
  path = `/v1/endpoints/${endpoint}/feed`;
  own = await bed.api.accountClient(tenant, 'acme');
}, 60_000);
afterAll(() => bed.stop());
beforeEach(() => feed.clear());
afterEach(() => open.splice(0).forEach((client) => client.close()));

async function newEndpoint(body: object): Promise<string> {
  return (await tenant.rest.ask<{ id: string }>('POST', '/v1/accounts/acme/endpoints', { body })).id;
}

async function follow(
  query = '',
  headers: Record<string, string> = {},
  through: ApiUnderTest = bed.api,
): Promise<StreamClient> {
  const client = await StreamClient.open(`${through.url}${path}/stream${query}`, {
    authorization: `Bearer ${tenant.key}`,
    ...headers,
  });
  open.push(client);
  return client;
}

const sequencesOf = ({ events }: StreamClient): number[] => events.map(({ id }) => Number(id));
const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, i) => from + i);
const whenHas = (client: StreamClient, count: number): Promise<unknown> =>
  waitFor(() => client.events.length >= count, { what: `${count} events` });
/** Its place is known: from here on it misses nothing. */
const whenJoined = (joins = 1): Promise<unknown> =>
  waitFor(
    () => feed.asked('ReadFeed').filter(({ accepted_since: since }) => since !== undefined).length >= joins,
  );

describe('a page of a feed', () => {
  it('shows JSON byte for byte, and other payloads in base64', async () => {
    const exact = '{"n": 1.0e2,\n "n":"\\u00e9\\/", "big":123456789012345678901}';
    const [first, second] = [feed.add(exact), feed.add(Buffer.from([1, 2, 255]), 'image/png')];
    const cheat = feed.add('{"a":1},{"b":2}');
    const { status, bytes, headers, json } = await tenant.rest.get<FeedList>(path);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(bytes.toString()).toContain(`"payload":${exact}}`);
    expect(json.data[0]).toMatchObject({
      sequence: 1,
      id: first.message,
      event_type: 'order.placed',
      channels: [],
      tags: [],
      timestamp: new Date(first.accepted_at).toISOString(),
      content_type: 'application/json',
      payload_encoding: 'json',
    });
    expect(json.data[1]).toMatchObject({
      id: second.message,
      content_type: 'image/png',
      payload_encoding: 'base64',
      payload: Buffer.from([1, 2, 255]).toString('base64'),
    });
    expect(json.data[2]).toMatchObject({
      id: cheat.message,
      payload_encoding: 'base64',
      payload: Buffer.from('{"a":1},{"b":2}').toString('base64'),
    });
    expect(json).toMatchObject({ next_after: 3, oldest: 1, has_more: false });
    expect(feed.asked('ReadFeed')).toEqual([{ tenant: tenant.id, endpoint, limit: 50 }]);
  });

  it('goes on where the page before ended, through the account too, and with its key', async () => {
    for (const n of upTo(5)) feed.add(JSON.stringify({ n }));
    const read = async (client: RestClient, at: string, query: string): Promise<FeedList> =>
      client.ask('GET', `${at}?${query}`);
    const first = await read(tenant.rest, path, 'limit=2');
    expect(first).toMatchObject({ next_after: 2, has_more: true });
    const byAccount = '/v1/accounts/acme/endpoints/inbox/feed';
    const second = await read(own, byAccount, `limit=2&after=${first.next_after}`);
    expect(second.data.map(({ sequence }) => sequence)).toEqual([3, 4]);
    const third = await read(own, path, `after=${second.next_after}`);
    expect(third).toMatchObject({ data: [{ sequence: 5 }], next_after: 5, has_more: false });
    expect(await read(own, path, 'after=5')).toEqual({ data: [], next_after: 5, oldest: 1, has_more: false });
  });

  it('says 410 when what comes after has aged out, and from where on there is something', async () => {
    for (const n of upTo(3)) feed.add(`${n}`);
    feed.items.splice(0, 2);
    expect(await tenant.rest.ask('GET', `${path}?after=2`)).toMatchObject({ next_after: 3, oldest: 3 });
    const answer = await tenant.rest.get<{ detail: string; oldest: number; errors: { message: string }[] }>(
      `${path}?after=1`,
    );
    expect(refusalOf(answer)).toEqual([410, 'feed_expired', '?after feed_expired']);
    expect(answer.json.detail).toContain('The oldest that is kept has sequence 3.');
    expect(answer.json.oldest).toBe(3);
    expect(answer.json.errors[0]?.message).toBe('must be at least 2: the oldest is 3');

    feed.expireAll();
    expect(await tenant.rest.ask('GET', path)).toEqual({
      data: [],
      next_after: 3,
      oldest: 4,
      has_more: false,
    });
  });

  it('is refused in our own words', async () => {
    const push = await newEndpoint({ url: 'https://receiver.example/' });
    const stranger = await bed.api.accountClient(tenant, 'other');
    const refusals: [RestClient, string, unknown[]][] = [
      [tenant.rest, `/v1/endpoints/${push}/feed`, [409, 'conflict', ':endpoint not_a_feed']],
      [tenant.rest, `/v1/endpoints/${push}/feed/stream`, [409, 'conflict', ':endpoint not_a_feed']],
      [stranger, path, [404, 'not_found', ':endpoint absent']],
      [stranger, `${path}/stream`, [404, 'not_found', ':endpoint absent']],
      [bed.api.operator, path, [403, 'forbidden', 'authorization wrong_key']],
      [tenant.rest, `${path}?after=-1`, [400, 'invalid_request', '?after invalid_format']],
      [tenant.rest, `${path}?after=`, [400, 'invalid_request', '?after invalid_format']],
      [tenant.rest, `${path}?since=1`, [400, 'invalid_request', '?since unknown_field']],
      [tenant.rest, `${path}/stream?limit=1`, [400, 'invalid_request', '?limit unknown_field']],
    ];
    for (const [client, at, expected] of refusals) {
      expect([at, refusalOf(await client.get(at))]).toEqual([at, expected]);
    }
    const garbled = await tenant.rest.get(`${path}/stream`, { 'last-event-id': 'x' });
    expect(refusalOf(garbled)).toEqual([400, 'invalid_request', 'last-event-id invalid_format']);
  });
});

describe('a stream of a feed', () => {
  it('is server-sent events that nobody between keeps or collects', async () => {
    feed.add('{"a":1}');
    const client = await follow('?after=0');
    await whenHas(client, 1);
    expect(client.status).toBe(200);
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-request-id': expect.stringMatching(/^req_/),
    });
    const [event] = client.events;
    expect(event).toMatchObject({ id: '1', event: 'message' });
    expect(JSON.parse(event?.data ?? '')).toMatchObject({ sequence: 1, payload: { a: 1 } });
  });

  it('begins now, or after a sequence, or after the Last-Event-ID, which goes before', async () => {
    for (const n of upTo(4)) feed.add(`${n}`);
    const fromNow = await follow();
    await whenJoined();
    const afterTwo = await follow('?after=2');
    const afterThree = await follow('?after=0', { 'last-event-id': '3' });
    feed.add('5');
    await Promise.all([whenHas(fromNow, 1), whenHas(afterTwo, 3), whenHas(afterThree, 2)]);
    expect([fromNow, afterTwo, afterThree].map(sequencesOf)).toEqual([[5], [3, 4, 5], [4, 5]]);
  });

  it('says 410 when what comes after its place has aged out', async () => {
    for (const n of upTo(3)) feed.add(`${n}`);
    feed.expireAll();
    const answer = await tenant.rest.get<{ oldest: number }>(`${path}/stream`, { 'last-event-id': '2' });
    expect(refusalOf(answer)).toEqual([410, 'feed_expired', 'last-event-id feed_expired']);
    expect(answer.json.oldest).toBe(4);
  });

  it('is read once for all who follow, and each gets everything', async () => {
    const clients = await Promise.all(upTo(40).map(() => follow()));
    await whenJoined();
    feed.history.asked.length = 0;
    for (const n of upTo(3)) {
      feed.add(`${n}`);
      await Promise.all(clients.map((client) => whenHas(client, n)));
    }
    for (const client of clients) expect(sequencesOf(client)).toEqual([1, 2, 3]);
    // Some may have joined together after the first; never is it one read for each.
    expect(feed.asked('ReadFeed').length).toBeLessThan(12);
  });

  it('goes on after audit-log was away, also for whoever came meanwhile, without loss or repetition', async () => {
    feed.add('1');
    const before = await follow('?after=0');
    await whenHas(before, 1);
    feed.history.stop();
    const meanwhile = await follow();
    const resumed = await follow('', { 'last-event-id': '1' });
    expect([meanwhile.status, resumed.status]).toEqual([200, 200]);
    for (const n of upTo(3, 2)) feed.add(`${n}`);
    await feed.history.start();
    await Promise.all(
      [before, meanwhile, resumed].map((client) => waitFor(() => client.events.at(-1)?.id === '4')),
    );
    feed.add('5');
    await Promise.all(
      [before, meanwhile, resumed].map((client) => waitFor(() => client.events.at(-1)?.id === '5')),
    );
    expect(sequencesOf(before)).toEqual(upTo(5));
    expect(sequencesOf(meanwhile)).toEqual(upTo(4, 2));
    expect(sequencesOf(resumed)).toEqual(upTo(4, 2));
  });

  it('leaves a slow client where it is while others go on, and misses nothing when it does', async () => {
    // Far more than the sockets of both sides hold.
    const payload = JSON.stringify('x'.repeat(100_000));
    for (let n = 0; n < 200; n++) feed.add(payload);
    const slow = await follow('?after=0');
    await whenHas(slow, 1);
    slow.pause();
    const quick = await follow('?after=0');
    await whenHas(quick, 200);
    expect(slow.events.length).toBeLessThan(200);
    slow.resume();
    await whenHas(slow, 200);
    expect(sequencesOf(slow)).toEqual(upTo(200));
    expect(sequencesOf(quick)).toEqual(upTo(200));
  }, 30_000);

  it('is answered to HEAD with its headers alone', async () => {
    const { status, headers, bytes } = await tenant.rest.send('HEAD', `${path}/stream`);
    expect([status, headers.get('content-type'), bytes.length]).toEqual([200, 'text/event-stream', 0]);
  });

  it('does not keep a process from stopping, even when its client does not read', async () => {
    const payload = JSON.stringify('x'.repeat(200_000));
    for (let n = 0; n < 100; n++) feed.add(payload);
    const replica = await startApi(bed.postgres.url, { HISTORY_GRPC: feed.history.address });
    const slow = await follow('?after=0', {}, replica);
    slow.pause();
    const idle = await follow('?after=100', {}, replica);
    await replica.stop();
    await idle.ended;
    expect(idle.comments).toContain('stopping');
    expect(idle.events).toEqual([]);
  }, 30_000);
});
