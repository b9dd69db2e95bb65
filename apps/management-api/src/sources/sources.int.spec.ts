import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { AccountUsage, Endpoint, Source, SourceState } from '@posthaste/contracts';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import { loggedMessages } from '../proving/logged-messages.js';
import { refusalOf } from '../proving/refusal-of.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { Upstream } from '../proving/upstream.js';

let bed: TestBed;
let tenant: TenantClient;
let upstream: Upstream;
let account: string;
let accounts = 0;

beforeAll(async () => {
  bed = await startTestBed({ replicas: 2 });
  tenant = await bed.api.newTenant('LinkUp');
}, 60_000);
afterAll(() => bed.stop());
beforeEach(async () => {
  upstream = await Upstream.start();
  account = `account-${++accounts}`;
  await tenant.putAccount(account);
});
afterEach(async () => {
  await tenant.rest.delete(`/v1/accounts/${account}`);
  await upstream.stop();
});

const path = (): string => `/v1/accounts/${account}/source`;
const put = (more: object = {}) => tenant.rest.put<Source>(path(), { url: upstream.url(), ...more });
const source = async (): Promise<Source> =>
  (await tenant.through(bed.replica.url).rest.get<Source>(path())).json;
const usage = (): Promise<AccountUsage> => tenant.rest.ask('GET', `/v1/accounts/${account}/usage`);
const newEndpoint = (more: object = {}): Promise<Endpoint> =>
  tenant.rest.ask('POST', `/v1/accounts/${account}/endpoints`, { body: { mode: 'feed', ...more } });
const switched = (id: string, to: 'enable' | 'disable') => tenant.rest.post(`/v1/endpoints/${id}/${to}`);
const whenState = <S extends SourceState['status']>(status: S) =>
  waitFor(
    async () => {
      const shown = await source();
      if (shown.state.status !== status) throw new Error(JSON.stringify(shown.state));
      return shown as Source & { state: Extract<SourceState, { status: S }> };
    },
    { what: `a source that is ${status}` },
  );
/** The published payloads of the account, once there are so many. */
const published = (count: number): Promise<{ type: string; payload: string }[]> =>
  waitFor(
    async () => {
      const { id } = await tenant.rest.ask<{ id: string }>('GET', `/v1/accounts/${account}`);
      const found = (await loggedMessages(bed.log)).filter(({ meta }) => meta.account === id);
      if (found.length < count) throw new Error(`${found.length} of ${count}`);
      return found.map(({ meta, payload }) => ({ type: meta.type, payload: payload.toString() }));
    },
    { what: `${count} messages` },
  );

describe('a source', () => {
  it('is created, read through another replica, replaced and deleted; its headers are never shown', async () => {
    const secret = 'Bearer very-secret';
    const created = await put({ headers: { Authorization: secret }, sync_url: upstream.url('/known') });
    expect(created.status).toBe(201);
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.json).toEqual({
      id: expect.stringMatching(/^src_/),
      account_id: expect.stringMatching(/^acc_/),
      url: upstream.url(),
      headers: { Authorization: '********' },
      sync_url: upstream.url('/known'),
      state: { status: 'idle' },
      last_event_id: null,
      last_event_at: null,
      dropped_events: 0,
      version: 1,
      created_at: expect.any(String),
      updated_at: expect.any(String),
    });
    expect(await source()).toEqual(created.json);
    const same = await put({ headers: { Authorization: secret }, sync_url: upstream.url('/known') });
    expect([same.status, same.json.version]).toEqual([200, 1]);
    const other = await put({ headers: { 'X-Key': 'other-secret' } });
    expect(other.json).toMatchObject({ version: 2, headers: { 'X-Key': '********' }, sync_url: null });
    expect(refusalOf(await tenant.rest.put(path(), { url: upstream.url() }, { 'if-match': '"1"' }))).toEqual([
      412,
      'precondition_failed',
      'if-match version_mismatch',
    ]);
    expect((await tenant.rest.delete(path())).status).toBe(204);
    expect(refusalOf(await tenant.rest.get(path()))).toEqual([404, 'not_found', ':account absent']);
    const kept = await bed.database.query<{ text: string }>(
      `select (select string_agg(state::text, '') from config.entity_version) ||
              (select string_agg(entry::text, '') from config.audit_entry) ||
              (select coalesce(string_agg(headers::text, ''), '') from config.source) as text`,
    );
    expect(kept.rows[0]?.text).toContain('source.updated');
    expect(kept.rows[0]?.text).not.toMatch(/very-secret|other-secret/);
  });

  it.each([
    [{ url: 'http://example.com/' }, '/url', 'https_only'],
    [{ url: 'https://10.0.0.1/' }, '/url', 'private_address'],
    [{ sync_url: 'https://10.0.0.1/' }, '/sync_url', 'private_address'],
    [{ headers: { 'Last-Event-ID': '1' } }, '/headers/Last-Event-ID', 'reserved_header'],
    [{ headers: { Host: 'x' } }, '/headers/Host', 'reserved_header'],
    [{ headers: { 'X-Key': '********' } }, '/headers/X-Key', 'masked'],
    [{ headers: { 'X-Key': 'a\nb' } }, '/headers/X-Key', 'bad_header_value'],
    [{ nonsense: 1 }, '/nonsense', 'unknown_field'],
  ])('with %j is refused', async (more, pointer, rule) => {
    expect(refusalOf(await put(more))).toEqual([422, 'validation_failed', `${pointer} ${rule}`]);
  });
});

describe('monitoring', () => {
  it('keeps one connection for two endpoints through two replicas, and closes it when the last is stopped', async () => {
    await put({ headers: { 'X-Key': 'k-1' } });
    expect((await source()).state).toEqual({ status: 'idle' });
    const [first, second] = [await newEndpoint(), await newEndpoint({ profile: 'linkup' })];
    await upstream.whenOpen(1);
    await whenState('open');
    expect(upstream.requests).toHaveLength(1);
    expect(upstream.requests[0]?.headers).toMatchObject({ accept: 'text/event-stream', 'x-key': 'k-1' });
    upstream.send('1', 'message_received', { type: 'message', n: 1 });
    upstream.write('data: not json\n\n');
    upstream.write('event: not well-formed\ndata: 1\n\n');
    upstream.send('2', 'disconnection', { n: 2 });
    expect(await published(3)).toEqual([
      { type: 'message_received', payload: '{"type":"message","n":1}' },
      { type: 'message', payload: '"not json"' },
      { type: 'disconnection', payload: '{"n":2}' },
    ]);
    await waitFor(async () => (await source()).last_event_id === '2');
    expect(await source()).toMatchObject({ dropped_events: 1, last_event_at: expect.any(String) });

    await switched(first.id, 'disable');
    upstream.send('3', 'message_received', { n: 3 });
    await published(4);
    expect(upstream.requests).toHaveLength(1);
    await switched(second.id, 'disable');
    await upstream.whenOpen(0);
    await whenState('idle');
    expect((await usage()).monitored_since).toBeNull();

    upstream.send('4', 'message_received', { n: 4 });
    await switched(second.id, 'enable');
    expect((await published(5)).at(-1)).toEqual({ type: 'message_received', payload: '{"n":4}' });
    expect(upstream.requests).toHaveLength(2);
    expect(upstream.requests[1]?.headers['last-event-id']).toBe('3');
    const { periods, monitored_since } = await usage();
    expect(periods).toHaveLength(2);
    expect(monitored_since).toBe(periods[0]?.started_at);
  });

  it('publishes an upstream id once, however often it comes, and goes on where it was when the stream breaks', async () => {
    await put();
    await newEndpoint();
    await upstream.whenOpen(1);
    upstream.send('a', 'x', { n: 1 });
    upstream.write('id: a\nevent: x\ndata: {"n":1}\n\n');
    upstream.write('id: a\nevent: x\ndata: {"n":"other"}\n\n');
    upstream.send('b', 'x', { n: 2 });
    await published(2);
    await waitFor(async () => (await source()).last_event_id === 'b');
    upstream.hangUp();
    await waitFor(() => upstream.requests.length === 2);
    expect(upstream.requests[1]?.headers['last-event-id']).toBe('b');
    await upstream.whenOpen(1);
    upstream.send('c', 'x', { n: 3 });
    expect((await published(3)).map(({ payload }) => payload)).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
  });

  it('ends with the source, with the account, and begins anew with another URL', async () => {
    await put();
    await newEndpoint();
    await upstream.whenOpen(1);
    upstream.send('a', 'x', 1);
    await waitFor(async () => (await source()).last_event_id === 'a');
    await put({ url: upstream.url('/stream?another') });
    await waitFor(() => upstream.requests.length === 2 && upstream.open.size === 1);
    expect(upstream.requests[1]?.headers['last-event-id']).toBeUndefined();
    await tenant.rest.delete(path());
    await upstream.whenOpen(0);
    await put();
    await upstream.whenOpen(1);
    await tenant.rest.delete(`/v1/accounts/${account}`);
    await upstream.whenOpen(0);
    await tenant.putAccount(account);
    expect((await usage()).periods).toEqual([]);
  });
});
