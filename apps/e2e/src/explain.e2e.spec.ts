import { describe, expect } from '@jest/globals';
import type { EndpointAsOf, EndpointVersion, ExplainedEndpoint, Explanation } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import { type Receiver, RestClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import { itOn, logsToTest, withParties } from './test-stack.js';

// Three in the morning, and a customer says "we never got it".

describe.each(logsToTest())('a message that did not arrive, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  const it = itOn(() => stack);
  withParties(start, (parties) => ({ stack, receiver, tenant } = parties));

  /** A key that the customer holds. */
  async function keyOf(account: string): Promise<{ id: string; rest: RestClient }> {
    const operator = new RestClient(stack.url, stack.operatorKey);
    const body = { scope: 'account', account };
    const path = `/v1/tenants/${tenant.id}/keys`;
    const { id, key } = await operator.ask<{ id: string; key: string }>('POST', path, { body });
    return { id, rest: new RestClient(stack.url, key) };
  }

  /** By endpoint, once history has the message and `until` holds. */
  function explained(
    client: RestClient,
    message: string,
    until: (rows: ExplainedEndpoint[]) => boolean = () => true,
  ): Promise<(endpoint: { id: string }) => ExplainedEndpoint> {
    return waitFor(
      async () => {
        const { data } = await client.ask<Explanation>('GET', `/v1/messages/${message}/explain`);
        if (!until(data)) throw new Error(JSON.stringify(data.map(({ delivery }) => delivery)));
        return ({ id }: { id: string }) =>
          data.find(({ endpoint_id }) => endpoint_id === id) as ExplainedEndpoint;
      },
      { what: 'the explanation', everyMs: 100, deadlineMs: 30_000 },
    );
  }

  it('is explained for every endpoint: filter, channel, disabled then, deleted, created later, delivered', async () => {
    await tenant.putAccount('acme');
    const customer = await keyOf('acme');
    const create = (name: string, more: object = {}) =>
      tenant.createEndpoint('acme', { url: receiver.url(`/acme/${name}`), ...more });
    const good = await create('good');
    const filtered = await create('filtered', { event_types: ['invoice.paid'] });
    const channel = await create('channel', { channels: ['eu'] });
    const off = await create('off');
    await customer.rest.ask('POST', `/v1/endpoints/${off.id}/disable`, {});
    const deleted = await create('deleted');
    await tenant.deleteEndpoint(deleted.id);
    const { id } = await tenant.publish('acme', 'order.placed', { n: 1 });
    // By now all looks as if it should have arrived everywhere.
    await customer.rest.ask('POST', `/v1/endpoints/${off.id}/enable`, {});
    await tenant.updateEndpoint(filtered.id, { event_types: [] });
    await tenant.updateEndpoint(channel.id, { channels: [] });
    const later = await create('later');

    const isDelivered = (rows: ExplainedEndpoint[]) =>
      rows.some(({ delivery }) => delivery?.status === 'delivered');
    const of = await explained(customer.rest, id, isDelivered);
    expect(of(good)).toMatchObject({
      ...{ matched: true, routed: true, rule: null },
      delivery: { status: 'delivered', attempts: 1, last_status_code: 200 },
    });
    const no = { matched: false, routed: false, delivery: null };
    expect(of(filtered)).toMatchObject({
      ...no,
      ...{ rule: 'event_types', wanted: ['invoice.paid'], got: ['order.placed'], version: 1 },
      since: { version: 1, action: 'endpoint.created', actor: tenant.keyId },
    });
    expect(of(channel)).toMatchObject({ ...no, rule: 'channels', wanted: ['eu'], got: [] });
    expect(of(off)).toMatchObject({
      ...{ ...no, rule: 'enabled', disabled_reason: 'requested' },
      since: { version: 2, action: 'endpoint.disabled', actor: customer.id },
    });
    expect(of(deleted)).toMatchObject({ ...no, rule: 'deleted_before', since: { actor: tenant.keyId } });
    expect(of(later)).toMatchObject({ ...no, rule: 'created_later', version: null });
    expect(receiver.requests.map(({ path }) => path)).toEqual(['/acme/good']);
  });

  it('to a receiver that answered 410 says so; what came after names who switched it off', async () => {
    await tenant.putAccount('gone');
    const customer = await keyOf('gone');
    receiver.plan({ path: '/gone', answers: [410] });
    const endpoint = await tenant.createEndpoint('gone', { url: receiver.url('/gone') });
    const first = await tenant.publish('gone', 'order.placed', {});
    const isOver = (rows: ExplainedEndpoint[]) => rows[0]?.delivery?.status === 'cancelled';
    const of = await explained(customer.rest, first.id, isOver);
    expect(of(endpoint)).toMatchObject({
      ...{ matched: true, routed: true },
      delivery: { attempts: 1, last_status_code: 410, reason: 'endpoint_gone' },
    });
    await waitFor(
      async () =>
        !(await tenant.rest.ask<{ enabled: boolean }>('GET', `/v1/endpoints/${endpoint.id}`)).enabled,
    );
    const second = await tenant.publish('gone', 'order.placed', {});
    expect(second.deliveries).toBe(0);
    expect((await explained(customer.rest, second.id))(endpoint)).toMatchObject({
      ...{ matched: false, routed: false, rule: 'enabled', delivery: null, disabled_reason: 'gone' },
      since: { version: 2, action: 'endpoint.disabled', actor: 'system' },
    });
  });

  it('because of a change is found by what the versions say is different, and by each attempt', async () => {
    await tenant.putAccount('moved');
    const customer = await keyOf('moved');
    receiver.plan({ path: '/new', answers: [401] });
    const endpoint = await tenant.createEndpoint('moved', { url: receiver.url('/old') });
    const attemptOf = async (n: number): Promise<string> => {
      const message = await tenant.publish('moved', 'order.placed', { n });
      return waitFor(async () => {
        const deliveries = await tenant.deliveries('moved');
        const delivery = deliveries.find(({ message_id }) => message_id === message.id);
        return delivery && (await tenant.attempts(delivery.id))[0]?.id;
      });
    };
    const before = await attemptOf(1);
    await customer.rest.ask('PATCH', `/v1/endpoints/${endpoint.id}`, { body: { url: receiver.url('/new') } });
    await customer.rest.ask('POST', `/v1/endpoints/${endpoint.id}/secret/rotate`, { body: {} });
    const after = await attemptOf(2);
    const asOf = (attempt: string) =>
      tenant.rest.ask<EndpointAsOf>('GET', `/v1/endpoints/${endpoint.id}?attempt=${attempt}`);
    expect(await asOf(before)).toMatchObject({ version: 1, url: receiver.url('/old') });
    expect(await asOf(after)).toMatchObject({ version: 3, url: receiver.url('/new'), is_current: true });
    const versions = await tenant.rest.all<EndpointVersion>(`/v1/endpoints/${endpoint.id}/versions`);
    expect(versions.map(({ version, actor }) => [version, actor])).toEqual([
      [3, customer.id],
      [2, customer.id],
      [1, tenant.keyId],
    ]);
    expect(versions[0]?.changed).toEqual([{ field: 'secret' }]);
    expect(versions[1]?.changed).toEqual([
      { field: 'url', before: receiver.url('/old'), after: receiver.url('/new') },
    ]);
  });
});
