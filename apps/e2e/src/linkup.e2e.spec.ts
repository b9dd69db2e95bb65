import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { type ReceivedRequest, Receiver, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import { EventSource } from 'eventsource';
import { LinkupProgram, type Made, numbers, type PolledEvent, type Wrapper } from './linkup-program.js';
import { itOn, startTestStack } from './test-stack.js';

// A program written for LinkUp against the whole system: what it is sent, streamed and asked for. Its calls, line by
// line, are in apps/management-api/src/facades/linkup.

let stack: Stack;
let tenant: TenantClient;
let linkup: LinkupProgram;
/** The same tenant's backend, through a replica of its own that nobody restarts. */
let backend: TenantClient;
let receiver: Receiver;
const it = itOn(() => stack);
const opened: Streaming[] = [];

beforeAll(async () => {
  stack = await startTestStack({ env: { LOG_LEVEL: 'debug' }, replicas: { managementApi: 2 } });
  tenant = await seedTenant(stack.url, stack.operatorKey);
  linkup = new LinkupProgram(stack.url, tenant.key);
  backend = tenant.through(stack.urls[1] ?? '');
  receiver = await Receiver.start();
}, 180_000);
afterEach(() => {
  for (const streaming of opened.splice(0)) streaming.source.close();
});
afterAll(async () => {
  await receiver.stop();
  await stack.stop();
}, 60_000);

const call = <T = unknown>(method: string, below: string, body?: object): Promise<T> =>
  linkup.call(method, below, body);
const make = (fields: object): Promise<Made> => linkup.make(fields);
const polled = (id: string, query = ''): Promise<PolledEvent[]> => linkup.polled(id, query);

/** As LinkUp's backend says it: the filter's name is the message's type, the event carries its own. */
const happens = (account: string, n: number, type = 'message_received'): Promise<unknown> =>
  backend.publish(account, type, { type: type === 'message_received' ? 'message' : type, n });

/** The processes' logs that hold the words. */
function logsWith(words: string): string[] {
  const folder = path.join(stack.dataDir, 'logs');
  return readdirSync(folder).filter((name) => readFileSync(path.join(folder, name), 'utf8').includes(words));
}

/** What a browser's EventSource makes of a stream. */
class Streaming {
  readonly events: { id: string; event: Wrapper }[] = [];
  connections = 0;
  connected: unknown;
  readonly source: EventSource;

  constructor({ stream_url }: Made) {
    this.source = new EventSource(`${stack.url}${stream_url}?api_key=${tenant.key}`);
    this.source.addEventListener('connected', ({ data }) => {
      this.connections += 1;
      this.connected = JSON.parse(String(data));
    });
    this.source.addEventListener('webhook', ({ data, lastEventId: id }) => {
      this.events.push({ id, event: JSON.parse(String(data)) as Wrapper });
    });
    opened.push(this);
  }

  static async to(made: Made): Promise<Streaming> {
    const streaming = new Streaming(made);
    await streaming.whenConnected(1);
    return streaming;
  }

  async whenConnected(times: number): Promise<void> {
    await waitFor(() => this.connections >= times, { what: `connection ${times}` });
  }

  /** Everything up to this event has come. */
  async whenSeen(n: number): Promise<number[]> {
    await waitFor(() => numbers(this.events).includes(n), { what: `event ${n} in the stream` });
    return numbers(this.events);
  }
}

describe('a hosted webhook', () => {
  it('streams and answers the same events under the same ids', async () => {
    await tenant.rest.put('/v1/accounts/hosted', { name: 'My Account' });
    const made = await make({ account_id: 'hosted' });
    const streaming = await Streaming.to(made);
    expect(streaming.connected).toEqual({ webhook_id: made.webhook_id, account_id: 'hosted' });
    for (let n = 1; n <= 5; n++) await happens('hosted', n);
    expect(await streaming.whenSeen(5)).toEqual([1, 2, 3, 4, 5]);
    const events = await polled(made.webhook_id);
    expect(events.map(({ event_id: id, event }) => ({ id, event }))).toEqual(streaming.events);
    expect(events[0]).toEqual({
      event_id: expect.stringMatching(/^[0-9a-f]{24}$/) as unknown,
      event: {
        account_id: 'hosted',
        account_name: 'My Account',
        event: { type: 'message', n: 1 },
        timestamp: expect.stringMatching(/^20\d\d-.*Z$/) as unknown,
      },
      created_at: expect.stringMatching(/^20\d\d-.*\.\d{3}Z$/) as unknown,
    });
    const [, second] = events as [PolledEvent, PolledEvent];
    expect(numbers(await polled(made.webhook_id, `?after=${second.event_id}&limit=2`))).toEqual([3, 4]);
    expect(numbers(await polled(made.webhook_id, `?since=${second.created_at}`))).toEqual([3, 4, 5]);
  });

  it('is read on by the time of the last event, without losing any of those that came at once', async () => {
    await tenant.putAccount('at-once');
    const made = await make({ account_id: 'at-once' });
    const publish = (from: number): Promise<unknown> => {
      const messages = Array.from({ length: 60 }, (_, i) => ({
        event_type: 'message_received',
        payload: { type: 'message', n: from + i },
      }));
      return backend.rest.ask('POST', '/v1/accounts/at-once/messages/batch', { body: { messages } });
    };
    // Through one connection each: whichever is first, neither hides the other.
    await Promise.all([publish(1), publish(61)]);
    await waitFor(async () => (await polled(made.webhook_id, '?limit=200')).length === 120, {
      what: 'all of both batches',
    });
    const events = await linkup.polledBySince(made.webhook_id, 50);
    expect(events).toEqual(await polled(made.webhook_id, '?limit=200'));
    expect(numbers(events).sort((a, b) => a - b)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
  });

  it('tells every client of its stream everything', async () => {
    await tenant.putAccount('several');
    const made = await make({ account_id: 'several' });
    const clients = await Promise.all([Streaming.to(made), Streaming.to(made)]);
    for (let n = 1; n <= 3; n++) await happens('several', n);
    for (const client of clients) expect(await client.whenSeen(3)).toEqual([1, 2, 3]);
  });

  it('loses nothing through restarts of the service, also for a client that had seen no event yet', async () => {
    await tenant.putAccount('restarted');
    const made = await make({ account_id: 'restarted' });
    const api = stack.process('management-api');
    const streaming = await Streaming.to(made);
    await api.stop();
    expect(logsWith('service.stop_timed_out')).toEqual([]);
    await happens('restarted', 1);
    await api.start();
    expect(await streaming.whenSeen(1)).toEqual([1]);
    await streaming.whenConnected(2);
    const publishing = (async () => {
      for (let n = 2; n <= 40; n++) await happens('restarted', n);
    })();
    await streaming.whenSeen(10);
    await api.kill('SIGKILL');
    await publishing;
    expect(await streaming.whenSeen(40)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
    await streaming.whenConnected(3);
  });

  it('goes on through a restart of history', async () => {
    await tenant.putAccount('history');
    const made = await make({ account_id: 'history' });
    const streaming = await Streaming.to(made);
    await stack.process('audit-log').kill('SIGKILL');
    await happens('history', 1);
    await stack.waitReady();
    await happens('history', 2);
    expect(await streaming.whenSeen(2)).toEqual([1, 2]);
    expect(streaming.connections).toBe(1);
  });
});

describe('a stopped webhook', () => {
  it('has no events until it is started; the other of its account goes on', async () => {
    await tenant.putAccount('stopped');
    const [one, other] = [await make({ account_id: 'stopped' }), await make({ account_id: 'stopped' })];
    const [stopped, flowing] = [await Streaming.to(one), await Streaming.to(other)];
    await happens('stopped', 1);
    await call('POST', `/${one.webhook_id}/stop`);
    await happens('stopped', 2);
    await call('POST', `/${one.webhook_id}/start`);
    await happens('stopped', 3);
    expect(await stopped.whenSeen(3)).toEqual([1, 3]);
    expect(await flowing.whenSeen(3)).toEqual([1, 2, 3]);
    expect(numbers(await polled(one.webhook_id))).toEqual([1, 3]);
    expect(stopped.connections).toBe(1);
  });
});

describe('a filter', () => {
  it('lets disconnection through, whatever it is', async () => {
    await tenant.putAccount('filtered');
    const made = await make({ account_id: 'filtered', events: ['message_received'] });
    const streaming = await Streaming.to(made);
    await happens('filtered', 1, 'accepted_invitation');
    await happens('filtered', 2, 'disconnection');
    await happens('filtered', 3);
    expect(await streaming.whenSeen(3)).toEqual([2, 3]);
    expect(streaming.events[0]?.event.event.type).toBe('disconnection');
  });
});

describe('a custom webhook', () => {
  /** As LinkUp's documents tell receivers to verify. */
  function isSigned({ body, headers }: ReceivedRequest, secret: string): boolean {
    const timestamp = String(headers['x-linkup-timestamp']);
    const mac = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex');
    return headers['x-linkup-signature'] === `v1=${mac}`;
  }

  it('is posted the same events, signed; after rotate-secret only the new secret verifies', async () => {
    await tenant.rest.put('/v1/accounts/custom', { name: 'Custom' });
    const url = receiver.url('/custom');
    const made = await make({ account_id: 'custom', url, enable_signature: true });
    const next = async (n: number): Promise<ReceivedRequest> => {
      await happens('custom', n);
      const received = await receiver.whenReceived(n, ({ path }) => path === '/custom');
      return received[n - 1] as ReceivedRequest;
    };
    const first = await next(1);
    expect(JSON.parse(first.body.toString())).toMatchObject({
      account_id: 'custom',
      account_name: 'Custom',
      event: { type: 'message', n: 1 },
    });
    expect(isSigned(first, made.secret ?? '')).toBe(true);
    const rotated = await call<{ secret: string }>('POST', `/${made.webhook_id}/rotate-secret`);
    const second = await next(2);
    expect([isSigned(second, made.secret ?? ''), isSigned(second, rotated.secret)]).toEqual([false, true]);
    await call('DELETE', `/${made.webhook_id}/secret`);
    expect((await next(3)).headers['x-linkup-signature']).toBeUndefined();
  });
});

describe('the key in the URL of a stream', () => {
  it('is in no log', async () => {
    await tenant.putAccount('quiet');
    const made = await make({ account_id: 'quiet' });
    const streaming = await Streaming.to(made);
    await happens('quiet', 1);
    await streaming.whenSeen(1);
    streaming.source.close();
    // Refused ones are more likely to be told of.
    await fetch(`${stack.url}/v2/webhooks/nonsense/stream?api_key=${tenant.key}`);
    await fetch(`${stack.url}/v2/webhooks/${made.webhook_id}/nonsense?api_key=${tenant.key}`);
    const secret = tenant.key.split('_').at(-1) ?? '';
    expect(secret).toHaveLength(49);
    expect(logsWith(secret)).toEqual([]);
  });
});
