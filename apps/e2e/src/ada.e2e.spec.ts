import { beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import {
  type ReceivedRequest,
  type Receiver,
  type RestAnswer,
  RestClient,
  seedTenant,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import type pg from 'pg';
import {
  accountKey,
  AdaHandle,
  CREATED,
  type Page,
  signatureOf,
  verifiedBy,
  type Webhook,
  WEBHOOKS,
} from './ada-handle.js';
import { itOn, startTestStack, withParties } from './test-stack.js';

// A program written for Ada against the whole system: what it asks, and what its receiver is sent by the four services.
// Each call, field by field, is in apps/management-api/src/facades/ada; the bytes of each profile are in libs/wire.

const ENDED = 'v1.conversation.ended';
const EIGHT_DAYS = "interval '8 days'";
const GOLDEN = {
  secret: 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX',
  id: 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W',
  timestamp: '1674087231',
  body: '{"type":"v1.end_user.created","timestamp":"2026-03-12T10:00:00.000+00:00","data":{"end_user_id":"5f7e0e2c1e7c7e000f0f9c3a"},"tags":["5f7e0e2c1e7c7e000f0f9c3a"]}',
  signature: 'v1,to/J0sjYJD7HsGXteBYbUxX1rVsuDVU1NJC2qOR/PSU=',
};

let stack: Stack;
let receiver: Receiver;
let tenant: TenantClient;
let database: pg.Client;
/** What takes its time from the beginning on, while the other rows are gone through. */
let slow: { late: AdaHandle; retried: AdaHandle; failing: AdaHandle };
const it = itOn(() => stack);

withParties(startTestStack, (parties) => ({ stack, receiver, database, tenant } = parties));
beforeAll(async () => {
  receiver.plan({ path: '/late', answers: [{ status: 200, delayMs: 16_000 }, 200] });
  receiver.plan({ path: '/retried', answers: [500, 200] });
  receiver.plan({ path: '/failing', answers: [500] });
  const begin = async (name: string): Promise<AdaHandle> => {
    const handle = await handleOf(name);
    await handle.create();
    expect((await handle.publish()).deliveries).toBe(1);
    return handle;
  };
  slow = { late: await begin('late'), retried: await begin('retried'), failing: await begin('failing') };
}, 60_000);

const handleOf = (account: string): Promise<AdaHandle> => AdaHandle.of(account, { stack, receiver, tenant });

/** The latest of so many. */
async function received(path: string, count: number): Promise<ReceivedRequest> {
  const all = await receiver.whenReceived(count, (request) => request.path === path);
  expect(all).toHaveLength(count);
  return all[count - 1] as ReceivedRequest;
}

const thrice = (value: unknown): unknown[] => [value, value, value];

describe('a delivery', () => {
  it('of the first webhook of a handle is verified by svix and by standardwebhooks, by either names', async () => {
    const handle = await handleOf('first');
    const webhook = await handle.create();
    expect(webhook).toMatchObject({ description: '', event_filters: [], enabled: true });
    const { id } = await handle.publish(CREATED, { end_user_id: '5f' }, { tags: ['5f'] });
    const request = await received('/first', 1);
    const event = JSON.parse(request.body.toString()) as object;
    expect(event).toEqual({
      type: CREATED,
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/),
      data: { end_user_id: '5f' },
      tags: ['5f'],
    });
    expect(Object.keys(event)).toEqual(['type', 'timestamp', 'data', 'tags']);
    expect(verifiedBy(request, await handle.secretOf(webhook))).toEqual(thrice('verified'));
    const other = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
    expect(verifiedBy(request, other)).toEqual(thrice(expect.stringContaining('No matching signature')));
    for (const name of ['id', 'timestamp', 'signature']) {
      expect(request.headers[`svix-${name}`]).toBe(request.headers[`webhook-${name}`]);
    }
    expect(request.headers['svix-id']).toBe(id);
    expect(request.headers['content-type']).toMatch(/^application\/json/);
  });

  it('carries the golden body byte for byte, signed as the golden vector is', async () => {
    expect(signatureOf(GOLDEN.secret, GOLDEN.id, GOLDEN.timestamp, GOLDEN.body)).toBe(GOLDEN.signature);
    const handle = await handleOf('golden');
    const webhook = await handle.create();
    expect(await handle.rotate(webhook, { key: GOLDEN.secret })).toEqual({});
    expect(await handle.secretOf(webhook)).toBe(GOLDEN.secret);
    await handle.publish(CREATED, GOLDEN.body);
    const request = await received('/golden', 1);
    expect(request.body.toString()).toBe(GOLDEN.body);
    const { 'svix-id': id, 'svix-timestamp': timestamp, 'svix-signature': signatures } = request.headers;
    const [newest] = String(signatures).split(' ');
    expect(newest).toBe(signatureOf(GOLDEN.secret, String(id), String(timestamp), GOLDEN.body));
  });

  it('after a rotation is verified with the old secret and with the new', async () => {
    const handle = await handleOf('rotated');
    const webhook = await handle.create();
    const old = await handle.secretOf(webhook);
    expect(await handle.rotate(webhook)).toEqual({});
    const fresh = await handle.secretOf(webhook);
    expect(fresh).not.toBe(old);
    await handle.publish();
    const request = await received('/rotated', 1);
    for (const secret of [old, fresh]) {
      expect(verifiedBy(request, secret)).toEqual(thrice('verified'));
    }
    expect(String(request.headers['svix-signature']).split(' ')).toHaveLength(2);
    await handle.rotate(webhook, { key: fresh });
    await handle.publish();
    expect(String((await received('/rotated', 2)).headers['svix-signature']).split(' ')).toHaveLength(2);
  });

  it('goes where event_filters say, and anywhere when there are none', async () => {
    const handle = await handleOf('filters');
    await handle.create({}, '/filters/all');
    const webhook = await handle.create({ event_filters: [ENDED] }, '/filters/some');
    expect((await handle.publish(CREATED, { n: 1 })).deliveries).toBe(1);
    expect((await handle.publish(ENDED, { n: 2 })).deliveries).toBe(2);
    await handle.patch(webhook, { event_filters: [CREATED, 'v1.audit_log.emitted'] });
    expect((await handle.publish(ENDED, { n: 3 })).deliveries).toBe(1);
    expect((await handle.publish(CREATED, { n: 4 })).deliveries).toBe(2);
    await received('/filters/all', 4);
    await received('/filters/some', 2);
    const sent = receiver.at('/filters/some').map(({ body }) => JSON.parse(body.toString()) as object);
    expect(sent).toMatchObject([
      { type: ENDED, data: { n: 2 } },
      { type: CREATED, data: { n: 4 } },
    ]);
  });

  it('goes by channels: to a filtered webhook what has one of its own, to another everything', async () => {
    const handle = await handleOf('channels');
    await handle.create({}, '/channels/all');
    const { id } = await handle.create({}, '/channels/a');
    await tenant.rest.ask('PATCH', `/v1/endpoints/${id}`, { body: { channels: ['A'] } });
    for (const [n, channels, deliveries] of [
      [1, ['A'], 2],
      [2, ['A', 'B'], 2],
      [3, ['B'], 1],
      [4, undefined, 1],
    ] as const) {
      const published = await handle.publish(CREATED, { n }, channels && { channels });
      expect([n, published.deliveries]).toEqual([n, deliveries]);
    }
    await received('/channels/all', 4);
    await received('/channels/a', 2);
    const sent = receiver.at('/channels/a').map(({ body }) => JSON.parse(body.toString()) as object);
    expect(sent).toMatchObject([{ data: { n: 1 } }, { data: { n: 2 } }]);
  });
});

describe('a change', () => {
  it('of enabled stops and restarts, of url moves, of nothing leaves all as it is', async () => {
    const handle = await handleOf('changed');
    const webhook = await handle.create({ description: 'd' });
    expect(await handle.patch(webhook, {})).toEqual(webhook);
    await handle.patch(webhook, { enabled: false });
    expect((await handle.publish()).deliveries).toBe(0);
    await handle.patch(webhook, { enabled: true });
    expect((await handle.publish(CREATED, { n: 2 })).deliveries).toBe(1);
    expect(JSON.parse((await received('/changed', 1)).body.toString())).toMatchObject({ data: { n: 2 } });
    const moved = await handle.patch(webhook, { url: receiver.url('/changed/moved') });
    expect(moved).toMatchObject({
      ...webhook,
      url: receiver.url('/changed/moved'),
      updated_at: moved.updated_at,
    });
    await handle.publish(CREATED, { n: 3 });
    await received('/changed/moved', 1);
    expect(receiver.at('/changed')).toHaveLength(1);
  });

  it('by DELETE ends it: what is published afterwards stays away', async () => {
    const handle = await handleOf('deleted');
    const webhook = await handle.create();
    await handle.create({}, '/deleted/other');
    await handle.publish();
    await received('/deleted', 1);
    const gone = await handle.client.delete(WEBHOOKS + webhook.id);
    expect([gone.status, gone.bytes.length]).toEqual([204, 0]);
    expect((await handle.publish()).deliveries).toBe(1);
    await received('/deleted/other', 2);
    expect(receiver.at('/deleted')).toHaveLength(1);
    expect((await handle.client.get(WEBHOOKS + webhook.id)).status).toBe(404);
  });
});

describe('the lists', () => {
  it('go on at next_page_url, asked unchanged, until it is null', async () => {
    const handle = await handleOf('pages');
    const made = [await handle.create(), await handle.create()];
    const seen: Webhook[] = [];
    let next: string | null = `${stack.url}${WEBHOOKS}?limit=1`;
    while (next !== null && seen.length <= made.length) {
      const { data, meta }: Page = await new RestClient('', handle.client.key).ask('GET', next);
      seen.push(...data);
      next = meta.next_page_url;
    }
    expect(seen).toEqual(made.reverse());
  });

  it('of event types have the catalogue', async () => {
    const backend = await seedTenant(stack.url, stack.operatorKey);
    const handle = await AdaHandle.of('types', { stack, receiver, tenant: backend });
    const type = { name: CREATED, description: 'An end user was created.' };
    await backend.rest.ask('POST', '/v1/event-types', { body: type });
    expect(await handle.client.ask('GET', `${WEBHOOKS}event-types/`)).toEqual({ data: [type] });
  });
});

interface Refused {
  client: RestClient;
  own: Webhook;
  foreign: Webhook;
  theirs: Webhook;
  revoked: RestClient;
  reader: RestClient;
}

describe("what is refused, in Ada's words", () => {
  let s: Refused;
  beforeAll(async () => {
    const handle = await handleOf('refusals');
    const other = await handleOf('refusals-other');
    const another = await seedTenant(stack.url, stack.operatorKey);
    const stranger = await AdaHandle.of('refusals', { stack, receiver, tenant: another });
    const revoked = await accountKey(stack, tenant, 'refusals');
    await new RestClient(stack.url, stack.operatorKey).delete(`/v1/tenants/${tenant.id}/keys/${revoked.id}`);
    const reader = await accountKey(stack, tenant, 'refusals', ['endpoints:read']);
    s = {
      client: handle.client,
      own: await handle.create(),
      foreign: await other.create(),
      theirs: await stranger.create(),
      revoked: new RestClient(stack.url, revoked.key),
      reader: new RestClient(stack.url, reader.key),
    };
  }, 60_000);

  type Row = [line: string, ask: () => Promise<RestAnswer>, status: number, type: string, at?: string];
  const at = ({ id }: Webhook, below = ''): string => `${WEBHOOKS}${id}${below}`;
  const rows: Row[] = [
    ['no token', () => new RestClient(stack.url).get(WEBHOOKS), 401, 'unauthorized'],
    ['a revoked key', () => s.revoked.get(at(s.own)), 401, 'unauthorized'],
    ["a tenant's key", () => tenant.rest.get(WEBHOOKS), 403, 'authorization_error'],
    ["another account's id", () => s.client.get(at(s.foreign)), 404, 'not_found'],
    ["another tenant's id", () => s.client.patch(at(s.theirs), { enabled: false }), 404, 'not_found'],
    ['a foreign secret', () => s.client.get(at(s.foreign, '/secret/')), 404, 'not_found'],
    ['a foreign rotation', () => s.client.post(at(s.theirs, '/secret/rotate/')), 404, 'not_found'],
    ['a foreign deletion', () => s.client.delete(at(s.foreign)), 404, 'not_found'],
    ['an unknown id', () => s.client.get(`${WEBHOOKS}ep_2KWPBgLlAfxdpx2AI54pPJ85f4W`), 404, 'not_found'],
    ['a path there is not', () => s.client.get(at(s.own, '/nothing')), 404, 'not_found'],
    ['a wrong method', () => s.client.put(at(s.own), {}), 405, 'method_not_allowed'],
    ['a wrong method of the list', () => s.client.delete(WEBHOOKS), 405, 'method_not_allowed'],
    [
      'a wrong content type',
      () => s.client.post(WEBHOOKS, '<url/>', { 'content-type': 'application/xml' }),
      ...([400, 'bad_request'] as const),
    ],
    ['malformed JSON', () => s.client.post(WEBHOOKS, '{"url"'), 400, 'bad_request'],
    ['a bad URL', () => s.client.post(WEBHOOKS, { url: 'nowhere' }), 400, 'validation_error', '$.url'],
    ['no body', () => s.client.post(WEBHOOKS), 400, 'validation_error', '$.url'],
    [
      'a bad key',
      () => s.client.post(at(s.own, '/secret/rotate/'), { key: 'short' }),
      ...([400, 'validation_error', '$.key'] as const),
    ],
    [
      'eleven megabytes',
      () => s.client.post(WEBHOOKS, ' '.repeat(11_000_000)),
      ...([413, 'content_too_large'] as const),
    ],
    [
      'a creation by a key that may only read',
      () => s.reader.post(WEBHOOKS, { url: receiver.url() }),
      ...([403, 'authorization_error'] as const),
    ],
    [
      'a secret to a key that may only read',
      () => s.reader.get(at(s.own, '/secret/')),
      ...([403, 'authorization_error'] as const),
    ],
  ];
  for (const [line, ask, status, type, parameter] of rows) {
    it(line, async () => {
      const message = expect.stringMatching(/./);
      const details = parameter === undefined ? null : [{ parameter, location: 'body', message }];
      const answer = await ask();
      expect([answer.status, answer.json]).toEqual([status, { errors: [{ type, message, details }] }]);
      expect(answer.headers.get('content-type')).toMatch(/^application\/json(;|$)/);
    });
  }

  it('is not an unknown field, which is ignored; nor what a key that may only read reads', async () => {
    const created = await s.client.post<Webhook>(WEBHOOKS, { url: receiver.url('/x'), colour: 'red' });
    expect([created.status, Object.keys(created.json)]).toEqual([201, Object.keys(s.own)]);
    const read = await s.reader.get(at(s.own));
    expect([read.status, read.json]).toEqual([200, s.own]);
  });

  it('HEAD answers as GET does, without a body', async () => {
    for (const [client, path, status] of [
      [s.client, WEBHOOKS, 200],
      [s.client, at(s.own), 200],
      [s.client, at(s.foreign), 404],
      [s.revoked, WEBHOOKS, 401],
    ] as const) {
      const { status: answered, headers, bytes } = await client.send('HEAD', path);
      expect([path, answered, bytes.length]).toEqual([path, status, 0]);
      expect(headers.get('content-type')).toMatch(/^application\/json(;|$)/);
    }
  });
});

describe('a receiver', () => {
  it('that redirects has failed, and the place it names is never asked', async () => {
    receiver.plan({
      path: '/redirecting',
      answers: [{ status: 301, headers: { location: receiver.url('/redirected') } }],
    });
    const handle = await handleOf('redirecting');
    await handle.create();
    await handle.publish();
    const [attempt] = await handle.attempts(1);
    expect(attempt).toMatchObject({
      number: 1,
      outcome: 'failed',
      error: { class: 'http_redirect' },
      response: { status: 301 },
    });
    expect(receiver.at('/redirected')).toEqual([]);
  });

  it('that fails once is asked again, some seconds later', async () => {
    const [first, second] = await slow.retried.attempts(2);
    expect(first).toMatchObject({ number: 1, trigger: 'publish', outcome: 'failed' });
    expect(second).toMatchObject({ number: 2, trigger: 'retry', outcome: 'succeeded' });
    // As it was planned, not as it came: five seconds, spread by a little.
    const pauseMs = Date.parse(first?.next_attempt_at ?? '') - Date.parse(first?.started_at ?? '');
    expect(Math.round(pauseMs / 5_000)).toBe(1);
  });

  it('that takes 16 seconds has not answered in time', async () => {
    const [attempt] = await slow.late.attempts(1);
    expect(attempt).toMatchObject({
      number: 1,
      outcome: 'failed',
      error: { class: 'timeout' },
      response: null,
    });
  });

  it('of which every answer was a failure for a week is sent nothing more, until it is enabled by hand', async () => {
    const { failing } = slow;
    const only = async (): Promise<Webhook | undefined> =>
      (await failing.client.ask<Page>('GET', WEBHOOKS)).data[0];
    const { id } = (await only()) as Webhook;
    const failures = async (): Promise<number> => {
      const { rows } = await database.query<{ failures: number }>(
        'select failures from health.endpoint where endpoint = $1',
        [id],
      );
      return rows[0]?.failures ?? 0;
    };
    // What the dispatcher has told of its attempts; only their beginning is put where a week has gone by since.
    await waitFor(async () => (await failures()) > 0, { what: 'a failure', everyMs: 200 });
    await database.query(
      `update config.endpoint set health_since = now() - ${EIGHT_DAYS} - interval '1 h' where id = $1`,
      [id],
    );
    await database.query(
      `update health.endpoint set failing_since = extract(epoch from now() - ${EIGHT_DAYS})::bigint * 1000
        where endpoint = $1`,
      [id],
    );
    await failing.publish();
    const disabled = await waitFor(
      async () => {
        const webhook = await only();
        return webhook?.enabled === false && webhook;
      },
      { what: 'enabled: false', everyMs: 200 },
    );
    expect((await failing.publish()).deliveries).toBe(0);
    expect(await failing.patch(disabled, { enabled: true })).toMatchObject({ id, enabled: true });
    expect((await failing.publish()).deliveries).toBe(1);
  });
});
