import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type TenantClient, Upstream, waitFor } from '@posthaste/test-kit';
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
  await account.endpoint();
});
afterEach(async () => {
  await account.remove();
  await upstream.stop();
});

const put = (more: object = {}) => account.put({ url: upstream.url(), ...more });
const events = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { 'content-type': 'text/event-stream' });

describe('a source in trouble', () => {
  it.each<[string, string, (response: ServerResponse) => void]>([
    ['500', 'http_status', (response) => response.writeHead(500).end()],
    ['204', 'http_status', (response) => response.writeHead(204).end()],
    ['a redirect', 'http_redirect', (response) => response.writeHead(307, { location: '/stream?2' }).end()],
    ['HTML', 'not_an_event_stream', (response) => response.setHeader('content-type', 'text/html').end('<p>')],
    [
      'compressed bytes',
      'not_an_event_stream',
      (response) => events(response.setHeader('content-encoding', 'gzip')).end('x'),
    ],
    ['what is not HTTP', 'protocol', (response) => response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n\r\n')],
    ['a stream that ends at once', 'ended', (response) => events(response).end()],
    ['a connection that breaks', 'connection', (response) => response.destroy()],
    [
      'an endless line',
      'event_too_large',
      (response) => flood(events(response), `data: ${'x'.repeat(10_000)}`),
    ],
    ['an endless event', 'event_too_large', (response) => flood(events(response), 'data: xxxxxxxxxx\n')],
    [
      'text that outgrows the limit as JSON',
      'event_too_large',
      (response) => events(response).write(`data: ${'"'.repeat(200_000)}\n\n`),
    ],
  ])('that answers %s waits, says why, and is tried again', async (_, failed, behaviour) => {
    upstream.behaviour = (_request, response) => behaviour(response);
    await put();
    const first = await account.whenState('waiting');
    expect(first.state.error).toEqual({ class: failed, message: expect.any(String) });
    await account.whenState('waiting', ({ attempt }) => attempt >= 2);
    expect(upstream.requests.length).toBeGreaterThanOrEqual(2);
    upstream.behaviour = undefined;
    await account.whenState('open');
    upstream.send('1', 'ok', 1);
    expect(await account.published(1)).toEqual([{ type: 'ok', payload: '1' }]);
  });

  it('that never answers is connecting, and let go at once when it is no longer wanted', async () => {
    const hanging: ServerResponse[] = [];
    upstream.behaviour = (_, response) => hanging.push(response);
    await put();
    await waitFor(() => hanging.length === 1);
    expect((await account.source()).state).toEqual({ status: 'connecting' });
    const closed = new Promise((resolve) => hanging[0]?.on('close', () => resolve('closed')));
    await tenant.rest.delete(account.path);
    expect(await closed).toBe('closed');
  });

  it('whose address has become a forbidden one is not called', async () => {
    await put();
    await upstream.whenOpen(1);
    // As if it had been set before the rules became stricter.
    await bed.database.query(
      `update config.source set url = 'https://10.0.0.1/', version = 2 where account = $1`,
      [account.id],
    );
    const { state } = await account.whenState('waiting');
    expect(state.error.class).toBe('blocked_address');
    await upstream.whenOpen(0);
  });

  it('whose headers cannot be opened is not called without them', async () => {
    await put({ headers: { 'X-Key': 'k' } });
    await upstream.whenOpen(1);
    await bed.database.query(
      `update config.source set headers = jsonb_set(headers, '{id}', '"another"'), version = 2 where account = $1`,
      [account.id],
    );
    const { state } = await account.whenState('waiting', ({ attempt }) => attempt === 2);
    expect(state.error.class).toBe('headers_unreadable');
    expect(upstream.requests).toHaveLength(1);
    expect((await put({ headers: { 'X-Key': 'k' } })).status).toBe(200);
    await upstream.whenOpen(1);
  });

  it('loses what nobody can ask for again to no other event', async () => {
    await put();
    await upstream.whenOpen(1);
    upstream.write(
      `id: 1\nevent: a\ndata: 1\n\nevent: a\ndata: 2\n\nid: 3\nevent: a\ndata: ${'"'.repeat(200_000)}\n\n`,
    );
    expect((await account.published(2)).map(({ payload }) => payload)).toEqual(['1', '2']);
    expect((await account.whenState('waiting')).last_event_id).toBe('1');
  });

  it.each<[string, () => Promise<void>, () => Promise<void>]>([
    ['killed', () => bed.postgres.kill('SIGKILL'), () => bed.postgres.restart()],
    ['frozen', () => bed.postgres.kill('SIGSTOP'), () => bed.postgres.kill('SIGCONT')],
  ])(
    'loses nothing while PostgreSQL is %s',
    async (_, goAway, comeBack) => {
      await put();
      await upstream.whenOpen(1);
      upstream.send('1', 'a', 1);
      await account.published(1);
      await goAway();
      upstream.send('2', 'a', 2);
      upstream.send('3', 'a', 3);
      // Nobody knows any more who may read it.
      await upstream.whenOpen(0).finally(comeBack);
      await waitFor(async () => (await account.source()).last_event_id === '3', { deadlineMs: 40_000 });
      const payloads = (await account.published(3)).map(({ payload }) => payload);
      expect(payloads).toEqual(['1', '2', '3']);
      expect((await account.whenState('open')).dropped_events).toBe(0);
    },
    90_000,
  );

  it('drops events of types the tenant does not know, where it has a catalogue', async () => {
    const path = `/v1/tenants/${tenant.id}`;
    await tenant.rest.post('/v1/event-types', { name: 'known.type' });
    await bed.api.operator.patch(path, { event_type_policy: 'known' });
    await put();
    await upstream.whenOpen(1);
    upstream.send('1', 'unknown.type', 1);
    upstream.send('2', 'known.type', 2);
    expect(await account.published(1)).toEqual([{ type: 'known.type', payload: '2' }]);
    await waitFor(async () => (await account.source()).last_event_id === '2');
    expect((await account.source()).dropped_events).toBe(1);
    await bed.api.operator.patch(path, { event_type_policy: 'any' });
  });
});

describe('the initial sync', () => {
  const connection = (id: number | string) => ({ id, name: 'someone' });
  const invite = (id: string, ...ids: unknown[]) =>
    upstream.send(id, 'accepted_invitation', { type: 'accepted_invitation', new_connections: ids });

  const broughtBy = (payload: string): number =>
    (JSON.parse(payload) as { new_connections: unknown[] }).new_connections.length;

  it('is made once, and invitations that brought nobody new are not published', async () => {
    upstream.list = [connection('c1'), connection(2)];
    await put({ sync_url: upstream.url('/known'), headers: { 'X-Key': 'k' } });
    await upstream.whenOpen(1);
    expect(upstream.listed.map(({ headers }) => headers['x-key'])).toEqual(['k']);
    invite('1', connection('c1'));
    invite('2', connection('c1'), connection('c3'));
    invite('3', connection('c3'), connection('2'));
    invite('4', { profile_url: 'https://example.com/in/4', name: 'four' });
    invite('5', { profile_url: 'https://example.com/in/4' });
    upstream.send('6', 'message_received', { new_connections: [connection('c1')] });
    const found = await account.published(3);
    await waitFor(async () => (await account.source()).last_event_id === '6');
    expect(found.map(({ type, payload }) => [type, broughtBy(payload)])).toEqual([
      ['accepted_invitation', 2],
      ['accepted_invitation', 1],
      ['message_received', 1],
    ]);
    upstream.hangUp();
    await waitFor(() => upstream.requests.length === 2);
    await upstream.whenOpen(1);
    invite('7', connection('c3'));
    upstream.send('8', 'message_received', {});
    expect((await account.published(4)).at(-1)?.type).toBe('message_received');
    expect(upstream.listed).toHaveLength(1);
  });

  it('that fails holds up no event, says why, and is made when it can be', async () => {
    upstream.list = { not: 'a list' };
    await put({ sync_url: upstream.url('/known') });
    const failing = await account.whenState('open', ({ sync_error }) => sync_error !== undefined);
    expect(failing.state.sync_error).toEqual({ class: 'sync_failed', message: 'It is not a JSON array' });
    upstream.send('1', 'message_received', {});
    invite('2', connection('c1'));
    // Nobody can be asked for these again.
    upstream.write('event: message_received\ndata: {}\n\n');
    await account.published(3);
    upstream.list = [{ name: 'without an id' }];
    await account.whenState('open', ({ sync_error }) => sync_error?.message === 'Its entry 0 has no id');
    upstream.list = [connection('c1'), connection('c2')];
    await account.whenState('open', ({ sync_error }) => sync_error === undefined);
    invite('3', connection('c2'));
    upstream.send('4', 'message_received', {});
    expect((await account.published(4)).map(({ type }) => type)).toEqual([
      'message_received',
      'accepted_invitation',
      'message_received',
      'message_received',
    ]);
    expect(upstream.requests).toHaveLength(1);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['PUT', (id) => account.linkup('PUT', `/${id}`, { events: ['accepted_invitation'] })],
    ['another webhook', () => account.linkup('POST', '', { account_id: account.uid })],
  ])(
    'is made at once when invitations are asked for of a source that is read, by %s; what comes before its list is news',
    async (_, ask) => {
      await account.disableAll();
      const body = { account_id: account.uid, events: ['message_received'] };
      const { webhook_id: id } = (await account.linkup('POST', '', body)) as { webhook_id: string };
      upstream.list = [connection('c1'), connection('c9')];
      let answer = (): void => undefined;
      upstream.listing = new Promise((resolve) => (answer = resolve));
      await put({ sync_url: upstream.url('/known') });
      await upstream.whenOpen(1);
      upstream.send('1', 'message_received', {});
      await account.published(1);
      expect(upstream.listed).toHaveLength(0);
      await ask(id);
      await waitFor(() => upstream.listed.length === 1);
      invite('2', connection('c9'));
      expect((await account.published(2)).at(-1)?.type).toBe('accepted_invitation');
      answer();
      await waitFor(() => account.isSynced());
      invite('3', connection('c1'));
      upstream.send('4', 'message_received', {});
      expect((await account.published(3)).map(({ type }) => type)).toEqual([
        'message_received',
        'accepted_invitation',
        'message_received',
      ]);
      expect(upstream.listed).toHaveLength(1);
    },
  );
});

/** Writes without end, as fast as the other side reads. */
function flood(response: ServerResponse, text: string): void {
  const more = (): void => {
    while (!response.destroyed && response.write(text));
  };
  response.on('drain', more);
  more();
}
