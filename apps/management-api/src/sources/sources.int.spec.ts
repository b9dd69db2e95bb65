import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type TenantClient, Upstream, waitFor } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { SourceAccount } from '../proving/source-account.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

let bed: TestBed;
let tenant: TenantClient;
let upstream: Upstream;
let account: SourceAccount;
let accounts = 0;

beforeAll(async () => {
  bed = await startTestBed({ replicas: 2 });
  tenant = await bed.api.newTenant('LinkUp');
}, 60_000);
afterAll(() => bed.stop());
beforeEach(async () => {
  upstream = await Upstream.start();
  account = await SourceAccount.create(bed, tenant, `account-${++accounts}`);
});
afterEach(async () => {
  await account.remove();
  await upstream.stop();
});

const put = (more: object = {}) => account.put({ url: upstream.url(), ...more });

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
    expect(await account.source()).toEqual(created.json);
    const same = await put({ headers: { Authorization: secret }, sync_url: upstream.url('/known') });
    expect([same.status, same.json.version]).toEqual([200, 1]);
    const other = await put({ headers: { 'X-Key': 'other-secret' } });
    expect(other.json).toMatchObject({ version: 2, headers: { 'X-Key': '********' }, sync_url: null });
    expect(
      refusalOf(await tenant.rest.put(account.path, { url: upstream.url() }, { 'if-match': '"1"' })),
    ).toEqual([412, 'precondition_failed', 'if-match version_mismatch']);
    expect((await tenant.rest.delete(account.path)).status).toBe(204);
    expect(refusalOf(await tenant.rest.get(account.path))).toEqual([404, 'not_found', ':account absent']);
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
    expect((await account.source()).state).toEqual({ status: 'idle' });
    const [first, second] = [await account.endpoint(), await account.endpoint({ profile: 'linkup' })];
    await upstream.whenOpen(1);
    await account.whenState('open');
    expect(upstream.requests).toHaveLength(1);
    expect(upstream.requests[0]?.headers).toMatchObject({ accept: 'text/event-stream', 'x-key': 'k-1' });
    upstream.send('1', 'message_received', { type: 'message', n: 1 });
    upstream.write('data: not json\n\n');
    upstream.write('event: not well-formed\ndata: 1\n\n');
    upstream.send('2', 'disconnection', { n: 2 });
    expect(await account.published(3)).toEqual([
      { type: 'message_received', payload: '{"type":"message","n":1}' },
      { type: 'message', payload: '"not json"' },
      { type: 'disconnection', payload: '{"n":2}' },
    ]);
    await waitFor(async () => (await account.source()).last_event_id === '2');
    expect(await account.source()).toMatchObject({ dropped_events: 1, last_event_at: expect.any(String) });

    await account.disable(first.id);
    upstream.send('3', 'message_received', { n: 3 });
    await account.published(4);
    expect(upstream.requests).toHaveLength(1);
    await account.disable(second.id);
    await upstream.whenOpen(0);
    await account.whenState('idle');
    expect((await account.usage()).monitored_since).toBeNull();

    upstream.send('4', 'message_received', { n: 4 });
    await account.enable(second.id);
    expect((await account.published(5)).at(-1)).toEqual({ type: 'message_received', payload: '{"n":4}' });
    expect(upstream.requests).toHaveLength(2);
    expect(upstream.requests[1]?.headers['last-event-id']).toBe('3');
    const { periods, monitored_since } = await account.usage();
    expect(periods).toHaveLength(2);
    expect(monitored_since).toBe(periods[0]?.started_at);
  });

  it('publishes an upstream id once, however often it comes, and goes on where it was when the stream breaks', async () => {
    await put();
    await account.endpoint();
    await upstream.whenOpen(1);
    upstream.send('a', 'x', { n: 1 });
    upstream.write('id: a\nevent: x\ndata: {"n":1}\n\n');
    upstream.write('id: a\nevent: x\ndata: {"n":"other"}\n\n');
    upstream.send('b', 'x', { n: 2 });
    await account.published(2);
    await waitFor(async () => (await account.source()).last_event_id === 'b');
    upstream.hangUp();
    await waitFor(() => upstream.requests.length === 2);
    expect(upstream.requests[1]?.headers['last-event-id']).toBe('b');
    await upstream.whenOpen(1);
    upstream.send('c', 'x', { n: 3 });
    expect((await account.published(3)).map(({ payload }) => payload)).toEqual([
      '{"n":1}',
      '{"n":2}',
      '{"n":3}',
    ]);
  });

  it('ends with the source, with the account, and begins anew with another URL', async () => {
    await put();
    await account.endpoint();
    await upstream.whenOpen(1);
    upstream.send('a', 'x', 1);
    await waitFor(async () => (await account.source()).last_event_id === 'a');
    await put({ url: upstream.url('/stream?another') });
    await waitFor(() => upstream.requests.length === 2 && upstream.open.size === 1);
    expect(upstream.requests[1]?.headers['last-event-id']).toBeUndefined();
    await tenant.rest.delete(account.path);
    await upstream.whenOpen(0);
    await put();
    await upstream.whenOpen(1);
    await account.remove();
    await upstream.whenOpen(0);
    await tenant.putAccount(account.uid);
    expect((await account.usage()).periods).toEqual([]);
  });
});
