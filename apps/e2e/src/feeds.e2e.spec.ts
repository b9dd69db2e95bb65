import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { FeedList } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import { seedTenant, StreamClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { EventSource } from 'eventsource';
import pg from 'pg';
import { itOn, logsToTest } from './test-stack.js';

const STREAMS = 1_000;
const STREAMS_RSS_MB = 300;
/** Far below what the items would take if they were kept for each. */
const SLOW_RSS_MB = 450;

describe.each(logsToTest())('hosted endpoints, log: $log', ({ start }) => {
  let stack: Stack;
  let tenant: TenantClient;
  let publisher: TenantClient;
  const it = itOn(() => stack);
  const open: { close(): void }[] = [];

  beforeAll(async () => {
    stack = await start({ replicas: { managementApi: 2 } });
    tenant = await seedTenant(stack.url, stack.operatorKey);
    publisher = tenant.through(stack.urls[1] ?? '');
  }, 180_000);
  afterAll(async () => {
    for (const client of open) client.close();
    await stack.stop();
  }, 60_000);

  async function newFeeds(account: string, count = 1): Promise<string[]> {
    await tenant.putAccount(account);
    const body = { mode: 'feed' };
    const made = Array.from({ length: count }, () =>
      tenant.rest.ask<{ id: string }>('POST', `/v1/accounts/${account}/endpoints`, { body }),
    );
    return (await Promise.all(made)).map(({ id }) => id);
  }

  /** Through the other replica than the one that is followed; until it is acknowledged, as one message. */
  async function publish(account: string, payload: unknown): Promise<string> {
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const request = { body: { event_type: 'order.placed', payload }, headers };
    const answer = await waitFor(
      async () => publisher.rest.ask<{ id: string }>('POST', `/v1/accounts/${account}/messages`, request),
      { what: 'an acknowledgement', everyMs: 100, deadlineMs: 60_000 },
    );
    return answer.id;
  }

  async function pagesOf(feed: string): Promise<{ sequence: number; id: string }[]> {
    const items: { sequence: number; id: string }[] = [];
    for (let after = 0, more = true; more;) {
      const page = await tenant.rest.ask<FeedList>(
        'GET',
        `/v1/endpoints/${feed}/feed?after=${after}&limit=17`,
      );
      items.push(...page.data.map(({ sequence, id }) => ({ sequence, id })));
      ({ next_after: after, has_more: more } = page);
    }
    return items;
  }

  async function follow(
    feed: string,
    query: string,
    more: Record<string, string> = {},
  ): Promise<StreamClient> {
    const headers = { authorization: `Bearer ${tenant.key}`, ...more };
    const client = await StreamClient.open(`${stack.url}/v1/endpoints/${feed}/feed/stream${query}`, headers);
    expect(client.status).toBe(200);
    open.push(client);
    return client;
  }

  const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
  const rssMb = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(procStatus(stack.processes['management-api'] ?? 0))?.[1]) / 1024;

  it('are numbered without a gap while several are published to at once', async () => {
    const [feeds, others] = [await newFeeds('several', 3), await newFeeds('another', 1)];
    const published = await Promise.all(
      upTo(120).map((n) => publish(n % 4 === 0 ? 'another' : 'several', { n })),
    );
    const idsOf = (wanted: boolean): string[] =>
      published.filter((_, i) => ((i + 1) % 4 === 0) === wanted).sort();
    for (const [feed, ids] of [
      ...feeds.map((one) => [one, idsOf(false)] as const),
      ...others.map((one) => [one, idsOf(true)] as const),
    ]) {
      const items = await waitFor(
        async () => {
          const found = await pagesOf(feed);
          return found.length >= ids.length && found;
        },
        { what: `${ids.length} items`, everyMs: 100 },
      );
      expect(items.map(({ sequence }) => sequence)).toEqual(upTo(ids.length));
      expect(items.map(({ id }) => id).sort()).toEqual(ids);
    }
    const deliveries = await tenant.deliveries('another');
    expect(deliveries).toHaveLength(30);
    expect(deliveries.every(({ status, attempts }) => status === 'delivered' && attempts === 0)).toBe(true);
  });

  it('give everything to each of their clients, also to one that comes back, until it has aged out', async () => {
    const [feed = ''] = await newFeeds('aging');
    const [staying, leaving] = await Promise.all([follow(feed, '?after=0'), follow(feed, '?after=0')]);
    const has = (client: StreamClient, count: number): Promise<unknown> =>
      waitFor(() => client.events.length >= count, { what: `${count} events` });
    const sequences = ({ events }: StreamClient): number[] => events.map(({ id }) => Number(id));
    for (const n of upTo(3)) await publish('aging', { n });
    await Promise.all([has(staying, 3), has(leaving, 3)]);
    leaving.close();
    for (const n of upTo(3)) await publish('aging', { n });
    await has(staying, 6);
    const back = await follow(feed, '', { 'last-event-id': leaving.events.at(-1)?.id ?? '' });
    await has(back, 3);
    expect([staying, leaving, back].map(sequences)).toEqual([upTo(6), upTo(3), [4, 5, 6]]);

    const database = new pg.Client(stack.databaseUrl);
    await database.connect();
    const dayMs = 86_400_000;
    const text =
      'update history.feed_item set listed_at = listed_at - $2 where endpoint = $1 and sequence < 5';
    await database.query(text, [feed, dayMs]);
    await database.end();
    const path = `/v1/endpoints/${feed}/feed`;
    const { status, json } = await tenant.rest.get<{ code: string; oldest: number }>(`${path}?after=3`);
    expect([status, json.code, json.oldest]).toEqual([410, 'feed_expired', 5]);
    const { data, oldest } = await tenant.rest.ask<FeedList>('GET', path);
    expect([oldest, data.map(({ sequence }) => sequence)]).toEqual([5, [5, 6]]);
  });

  it('are followed by an EventSource through the ends of both services, without loss or repetition', async () => {
    const [feed] = await newFeeds('followed');
    const source = new EventSource(`${stack.url}/v1/endpoints/${feed}/feed/stream?after=0`, {
      fetch: (input, init) =>
        fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${tenant.key}` } }),
    });
    open.push(source);
    const seen: { id: string; lastEventId: string }[] = [];
    let opened = 0;
    source.addEventListener('open', () => void opened++);
    source.addEventListener('message', ({ data, lastEventId }) => {
      seen.push({ id: (JSON.parse(String(data)) as { id: string }).id, lastEventId });
    });
    await waitFor(() => opened > 0, { what: 'the first connection' });

    const sent: string[] = [];
    let over = false;
    const publishing = (async () => {
      while (!over) sent.push(await publish('followed', { n: sent.length }));
    })();
    const moreSeen = async (): Promise<void> => {
      const before = sent.length;
      const caughtUp = () => seen.length > before + 5;
      await waitFor(caughtUp, { what: `more than ${before} events`, deadlineMs: 30_000 });
    };
    await moreSeen();
    await stack.process('audit-log').kill('SIGKILL');
    await stack.waitReady();
    await moreSeen();
    await stack.process('management-api').kill('SIGKILL');
    await stack.waitReady();
    await moreSeen();
    await stack.process('management-api').stop();
    await stack.process('audit-log').stop();
    await stack.process('management-api').start();
    await stack.process('audit-log').start();
    await moreSeen();
    over = true;
    await publishing;
    await waitFor(() => seen.length >= sent.length, { what: `${sent.length} events` });
    expect(opened).toBeGreaterThanOrEqual(3);
    expect(seen.map(({ lastEventId }) => Number(lastEventId))).toEqual(upTo(sent.length));
    expect(seen.map(({ id }) => id)).toEqual(sent);
  }, 180_000);

  it(`are followed by ${STREAMS} clients of one process, and each gets every event`, async () => {
    const [feed = ''] = await newFeeds('many');
    const clients: StreamClient[] = [];
    for (let opened = 0; opened < STREAMS; opened += 50) {
      clients.push(...(await Promise.all(upTo(50).map(() => follow(feed, '?after=0')))));
    }
    const count = 20;
    const sent: string[] = [];
    for (const n of upTo(count)) sent.push(await publish('many', { n, text: 'x'.repeat(1_000) }));
    await waitFor(() => clients.every(({ events }) => events.length >= count), {
      what: `${count} events on each stream`,
      everyMs: 100,
      deadlineMs: 60_000,
    });
    for (const { events } of clients) expect(events.map(({ id }) => Number(id))).toEqual(upTo(count));
    expect(rssMb()).toBeLessThan(STREAMS_RSS_MB);
    for (const client of clients) client.close();
  }, 180_000);

  it('cost no memory for clients that do not read', async () => {
    const [feed = ''] = await newFeeds('slow');
    const slow = await Promise.all(upTo(20).map(() => follow(feed, '?after=0')));
    for (const client of slow) client.pause();
    // 60 MB: kept for each of them it would be more than a gigabyte.
    const count = 300;
    const payload = 'x'.repeat(200_000);
    for (const n of upTo(count)) await publish('slow', { n, payload });
    const quick = await follow(feed, '?after=0');
    const whenWhole = (client: StreamClient): Promise<unknown> =>
      waitFor(() => client.events.length >= count, { what: 'all events', everyMs: 100, deadlineMs: 60_000 });
    await whenWhole(quick);
    expect(rssMb()).toBeLessThan(SLOW_RSS_MB);
    const [first] = slow as [StreamClient];
    expect(first.events.length).toBeLessThan(count);
    first.resume();
    await whenWhole(first);
    expect(first.events.map(({ id }) => Number(id))).toEqual(upTo(count));
    for (const client of [...slow, quick]) client.close();
  }, 180_000);
});

function procStatus(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, 'utf8');
}
