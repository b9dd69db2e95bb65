import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { MeantMessage, ReceivedComparison } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, type ReceivedRequest, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import { itOn, logsToTest } from './test-stack.js';

const MANY = 1_000;
const AT_ONCE = 50;

describe.each(logsToTest())('what a receiver can prove, log: $log', ({ start }) => {
  let stack: Stack;
  let tenant: TenantClient;
  let receiver: Receiver;
  const it = itOn(() => stack);

  beforeAll(async () => {
    stack = await start({ replicas: { managementApi: 2 } });
    tenant = await seedTenant(stack.url, stack.operatorKey);
    receiver = await Receiver.start();
  }, 180_000);
  afterAll(async () => {
    await receiver.stop();
    await stack.stop();
  }, 60_000);

  async function endpointOf(account: string, fields: object = {}): Promise<string> {
    await tenant.putAccount(account);
    return (await tenant.createEndpoint(account, { url: receiver.url(`/${account}`), ...fields })).id;
  }
  const positionOf = ({ headers }: ReceivedRequest): string => String(headers['webhook-position']);
  const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  const meant = (endpoint: string, query = ''): Promise<MeantMessage[]> =>
    tenant.rest.all(`/v1/endpoints/${endpoint}/reconcile${query}`);
  const compare = (endpoint: string, body: object): Promise<ReceivedComparison> =>
    tenant.rest.ask('POST', `/v1/endpoints/${endpoint}/reconcile`, { body });
  const whenMeant = (endpoint: string, count: number): Promise<MeantMessage[]> =>
    waitFor(
      async () => {
        const found = await meant(endpoint);
        return found.length >= count && found;
      },
      { what: `${count} messages meant for it`, everyMs: 100, deadlineMs: 60_000 },
    );

  it('positions strictly increase in the order of acceptance, and every retry tells the same', async () => {
    const endpoint = await endpointOf('many', { retry_policy: { schedule_seconds: [0, 1] } });
    // One in ten is taken at the second attempt only.
    const refused = new Set<string>();
    receiver.plan({
      path: '/many',
      answers: ({ webhookId, body }) => {
        if (!body.toString().includes('"again"') || refused.has(webhookId)) return 200;
        refused.add(webhookId);
        return 503;
      },
    });
    const through = [tenant, tenant.through(stack.urls[1] ?? '')];
    const accepted: string[][] = [];
    for (let n = 0; n < MANY; n += AT_ONCE) {
      // Within a round the order is the log's to choose; a round begins when all of the one before were accepted.
      const round = Array.from({ length: AT_ONCE }, (_, i) =>
        (through[i % 2] ?? tenant).publish(
          'many',
          'order.placed',
          i % 10 === 0 ? { again: n + i } : { n: n + i },
        ),
      );
      accepted.push((await Promise.all(round)).map(({ id }) => id));
    }
    const again = MANY / 10;
    const requests = await receiver.whenReceived(MANY + again, ({ path }) => path === '/many', 60_000);
    const told = new Map<string, Set<string>>();
    for (const request of requests) {
      const positions = told.get(request.webhookId) ?? new Set();
      told.set(request.webhookId, positions.add(positionOf(request)));
    }
    expect([...told.values()].filter((positions) => positions.size !== 1)).toEqual([]);
    const placed = accepted.map((round) => round.map((id) => [...(told.get(id) ?? [])][0] ?? '').sort());
    const inOrder = placed.flat();
    expect(inOrder).toHaveLength(MANY);
    for (const [i, position] of inOrder.slice(1).entries()) expect(position > (inOrder[i] ?? '')).toBe(true);

    const rows = await whenMeant(endpoint, MANY);
    expect(rows.map(({ position }) => position)).toEqual(inOrder);
    expect(rows.every(({ message_id, position }) => told.get(message_id)?.has(position))).toBe(true);
    const bodies = new Map(requests.map(({ webhookId, body }) => [webhookId, sha256(body)]));
    expect(
      rows.filter(({ message_id, payload_sha256 }) => bodies.get(message_id) !== payload_sha256),
    ).toEqual([]);
  });

  it('a receiver that lost some finds exactly those', async () => {
    const endpoint = await endpointOf('lossy', { event_types: ['order.placed'] });
    const published: string[] = [];
    for (let n = 0; n < 40; n++) {
      // Some it never asked for.
      const type = n % 8 === 7 ? 'order.viewed' : 'order.placed';
      const { id } = await tenant.publish('lossy', type, { n });
      if (type === 'order.placed') published.push(id);
    }
    const isFor = ({ path }: ReceivedRequest): boolean => path === '/lossy';
    const requests = await receiver.whenReceived(published.length, isFor);
    await whenMeant(endpoint, published.length);

    const positions = requests.map(positionOf).sort();
    const [from = '', to = ''] = [positions[5], positions[30]];
    const lost = new Set([published[0], published[5], published[6], published[29], published[33]]);
    const ids = requests.map(({ webhookId }) => webhookId).filter((id) => !lost.has(id));
    const { id: stranger } = await tenant.publish('lossy', 'order.viewed', {});
    expect(await compare(endpoint, { from, to, ids: [...ids, stranger] })).toEqual({
      missing: [published[5], published[6], published[29]],
      unknown: [stranger],
      more: false,
      next_from: null,
      replay: null,
    });
    expect(await compare(endpoint, { ids })).toMatchObject({ missing: [...lost], unknown: [] });
    const rows = await meant(endpoint, `?from=${from}&to=${to}`);
    expect(rows.map(({ message_id }) => message_id)).toEqual(published.slice(5, 30));
    const [sixth] = rows;
    const since = await meant(endpoint, `?from=${sixth?.accepted_at}`);
    expect(since.map(({ message_id }) => message_id)).toEqual(expect.arrayContaining(published.slice(5)));
  });
});
