import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, seedTenant, type TenantClient, Upstream, waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { LinkupProgram, numbers } from './linkup-program.js';
import { itOn, startTestStack } from './test-stack.js';

// LinkUp's monitoring before the whole system: what a program written for LinkUp starts and stops is one connection to
// its tenant's own backend, and what it pays for. The upstream is a real stream of server-sent events.

let stack: Stack;
let tenant: TenantClient;
let linkup: LinkupProgram;
/** Both through the replica that nobody kills. */
let watching: LinkupProgram;
let receiver: Receiver;
let upstream: Upstream;
const it = itOn(() => stack);

beforeAll(async () => {
  stack = await startTestStack({ replicas: { managementApi: 2 } });
  const first = await seedTenant(stack.url, stack.operatorKey);
  tenant = first.through(stack.urls[1] ?? '');
  linkup = new LinkupProgram(stack.url, tenant.key);
  watching = new LinkupProgram(tenant.rest.url, tenant.key);
  receiver = await Receiver.start();
}, 180_000);
beforeEach(async () => {
  upstream = await Upstream.start();
});
afterEach(() => upstream.stop());
afterAll(async () => {
  await receiver.stop();
  await stack.stop();
}, 60_000);

interface Usage {
  credits: number;
  monitored_seconds: number;
  monitored_since: string | null;
  periods: { started_at: string; ended_at: string | null }[];
}

const usageOf = (account: string): Promise<Usage> => tenant.rest.ask('GET', `/v1/accounts/${account}/usage`);

const happens = (n: number, type = 'message_received'): void =>
  upstream.send(String(n), type, { type: type === 'message_received' ? 'message' : type, n });

/** What a hosted webhook has, once it has the event. */
async function whenPolled(id: string, n: number): Promise<number[]> {
  return waitFor(
    async () => {
      const found = numbers(await watching.polledBySince(id, 50));
      return found.includes(n) ? found : null;
    },
    { what: `event ${n} of ${id}`, everyMs: 100 },
  );
}

/** Makes what the account was monitored for lie further back, as time would. */
async function pass(account: string, hours: number): Promise<void> {
  const database = new pg.Client({ connectionString: stack.databaseUrl });
  await database.connect();
  await database
    .query(
      `update config.monitoring_period p
          set started_at = started_at - make_interval(hours => $2), ended_at = ended_at - make_interval(hours => $2)
         from config.account a where a.id = p.account and a.uid = $1`,
      [account, hours],
    )
    .finally(() => database.end());
}

describe('two webhooks of one account', () => {
  it('share a connection and a bill, which go on when one is stopped and end with the other', async () => {
    await tenant.putAccount('shared');
    await tenant.rest.ask('PUT', '/v1/accounts/shared/source', { body: { url: upstream.url() } });
    expect(upstream.requests).toHaveLength(0);
    const one = await linkup.make({ account_id: 'shared' });
    const other = await watching.make({ account_id: 'shared', events: ['message_received'] });
    await upstream.whenOpen(1);
    happens(1);
    for (const { webhook_id: id } of [one, other]) expect(await whenPolled(id, 1)).toEqual([1]);

    expect(await linkup.call('POST', `/${one.webhook_id}/stop`)).toMatchObject({ monitoring: false });
    happens(2);
    expect(await whenPolled(other.webhook_id, 2)).toEqual([1, 2]);
    await linkup.call('POST', `/${one.webhook_id}/start`);
    happens(3);
    expect(await whenPolled(one.webhook_id, 3)).toEqual([1, 3]);
    expect(await whenPolled(other.webhook_id, 3)).toEqual([1, 2, 3]);
    // All the while it was the same.
    expect([upstream.requests.length, upstream.open.size]).toEqual([1, 1]);

    await pass('shared', 24);
    const running = await usageOf('shared');
    expect(running.monitored_since).not.toBeNull();
    expect(running.periods).toHaveLength(1);
    expect(running.monitored_seconds).toBeGreaterThanOrEqual(86_400);
    // Ten a day for the account: not for each webhook.
    expect(running.credits).toBeCloseTo(running.monitored_seconds / 8_640, 3);

    for (const { webhook_id: id } of [one, other]) await linkup.call('POST', `/${id}/stop`);
    await upstream.whenOpen(0);
    const ended = await usageOf('shared');
    expect(ended).toMatchObject({
      monitored_since: null,
      periods: [{ ended_at: expect.any(String) as unknown }],
    });
    await pass('shared', 24);
    expect((await usageOf('shared')).credits).toBe(ended.credits);
    expect(upstream.requests).toHaveLength(1);
  });

  it('are told of invitations that bring somebody new, and of nobody the first sync has listed', async () => {
    await tenant.putAccount('invited');
    upstream.list = [{ id: 'c1', name: 'known' }];
    const body = { url: upstream.url(), sync_url: upstream.url('/connections') };
    await tenant.rest.ask('PUT', '/v1/accounts/invited/source', { body });
    const made = await linkup.make({
      account_id: 'invited',
      events: ['accepted_invitation', 'message_received'],
    });
    await upstream.whenOpen(1);
    const invite = (n: number, id: string): void =>
      upstream.send(String(n), 'accepted_invitation', {
        ...{ type: 'accepted_invitation', n },
        new_connections: [{ id, name: id }],
      });
    invite(1, 'c1');
    invite(2, 'c2');
    invite(3, 'c2');
    happens(4);
    expect(await whenPolled(made.webhook_id, 4)).toEqual([2, 4]);
    expect(upstream.listed).toHaveLength(1);
  });
});

describe('the process that holds the upstream', () => {
  const EVENTS = 120;

  it('is succeeded after kill -9: nobody misses an event, and one that comes twice is one', async () => {
    const [api, other] = [stack.process('management-api'), stack.process('management-api-2')];
    await tenant.putAccount('killed');
    const hosted = await linkup.make({ account_id: 'killed' });
    const url = receiver.url('/killed');
    await linkup.make({ account_id: 'killed', url });
    // So it is known who holds it.
    await other.stop();
    upstream.repeats = 3;
    const source = { body: { url: upstream.url() } };
    await tenant.through(stack.url).rest.ask('PUT', '/v1/accounts/killed/source', source);
    await upstream.whenOpen(1);
    await other.start();
    for (let n = 1; n <= EVENTS / 3; n++) happens(n);
    await whenPolled(hosted.webhook_id, 1);
    await api.kill('SIGKILL');
    // Kept down, or its successor might be itself.
    await api.stop();
    try {
      await upstream.whenOpen(0);
      for (let n = EVENTS / 3 + 1; n <= (2 * EVENTS) / 3; n++) happens(n);
      const killedAt = Date.now();
      await waitFor(() => upstream.requests.length === 2, { deadlineMs: 15_000, what: 'a successor' });
      console.log(`taken over after ${((Date.now() - killedAt) / 1_000).toFixed(1)} s`);
      for (let n = (2 * EVENTS) / 3 + 1; n <= EVENTS; n++) happens(n);
      const all = Array.from({ length: EVENTS }, (_, i) => i + 1);
      const kept = await whenPolled(hosted.webhook_id, EVENTS);
      expect([...kept].sort((a, b) => a - b)).toEqual(all);
      await waitFor(() => new Set(receiver.at('/killed').map(({ webhookId }) => webhookId)).size >= EVENTS);
      const received = new Map(
        receiver
          .at('/killed')
          .map(({ webhookId, body }) => [
            webhookId,
            (JSON.parse(body.toString()) as { event: { n: number } }).event.n,
          ]),
      );
      expect([...received.values()].sort((a, b) => a - b)).toEqual(all);
    } finally {
      await api.start();
    }
  }, 120_000);
});
