import { describe, expect } from '@jest/globals';
import type {
  Attempt,
  Endpoint,
  EndpointAsOf,
  EndpointVersion,
  Explanation,
  MeantMessage,
  ReceivedComparison,
  Replay,
} from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import {
  type Receiver,
  type ReceivedRequest,
  RestClient,
  type SeenDelivery,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { Webhook } from 'standardwebhooks';
import { itOn, logsToTest, withParties } from './test-stack.js';

// Three in the morning: what people ask then, answered and put right through REST alone, by a key of the customer's.

describe.each(logsToTest())('three in the morning, log: $log', ({ start }) => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  const it = itOn(() => stack);
  withParties(start, (parties) => ({ stack, receiver, tenant } = parties));

  /** An account, and the key its customer holds. */
  async function customerOf(account: string): Promise<RestClient> {
    await tenant.putAccount(account);
    const operator = new RestClient(stack.url, stack.operatorKey);
    const body = { scope: 'account', account };
    const { key } = await operator.ask<{ key: string }>('POST', `/v1/tenants/${tenant.id}/keys`, { body });
    return new RestClient(stack.url, key);
  }
  const publish = async (account: string, count: number, type = 'order.placed'): Promise<string[]> => {
    const messages: string[] = [];
    for (let n = 0; n < count; n++) messages.push((await tenant.publish(account, type, { n })).id);
    return messages;
  };
  const deliveriesWhen = (account: string, filter: string, count: number): Promise<SeenDelivery[]> =>
    waitFor(
      async () => {
        const found = await tenant.deliveries(account, filter);
        if (found.length === count) return found;
        throw new Error(`${found.length} of ${count}`);
      },
      { what: `${count} deliveries ${filter}`, everyMs: 100, deadlineMs: 60_000 },
    );
  const whenMade = (client: RestClient, id: string | null): Promise<Replay> =>
    waitFor(
      async () => {
        const replay = await client.ask<Replay>('GET', `/v1/replays/${id}`);
        const { status, requested, succeeded, failed } = replay;
        if (status === 'completed' && succeeded + failed === requested) return replay;
        throw new Error(JSON.stringify(replay));
      },
      { what: 'the replay made', everyMs: 100, deadlineMs: 60_000 },
    );
  const isReplay = ({ headers }: ReceivedRequest): boolean => headers['webhook-replay'] === 'true';
  const replayedAt = (path: string): string[] =>
    receiver
      .at(path)
      .filter(isReplay)
      .map(({ webhookId }) => webhookId);

  it('"our endpoint was down": what was lost is found, recovered, and proven to be complete', async () => {
    const customer = await customerOf('down');
    /** What the receiver has: it forgets one it had acknowledged. */
    const stored = new Set<string>();
    let isDown = false;
    receiver.plan({
      path: '/down',
      answers: ({ webhookId }) => {
        if (!isDown) stored.add(webhookId);
        return isDown ? 503 : 200;
      },
    });
    const retry_policy = { preset: 'none' };
    const { id } = await tenant.createEndpoint('down', { url: receiver.url('/down'), retry_policy });
    const before = await publish('down', 4);
    await deliveriesWhen('down', '?status=delivered', 4);
    const since = new Date().toISOString();
    isDown = true;
    // Fewer than would make its lane wait before it asks again.
    const during = await publish('down', 8);
    const lost = await deliveriesWhen('down', `?status=exhausted&endpoint_id=${id}`, 8);
    isDown = false;

    // Found: which, and why.
    expect(lost.map(({ message_id }) => message_id).sort()).toEqual([...during].sort());
    const [attempt] = await customer.all<Attempt>(`/v1/deliveries/${lost[0]?.id}/attempts`);
    expect(attempt).toMatchObject({
      outcome: 'failed',
      error: { class: 'http_status' },
      response: { status: 503 },
    });

    // Recovered.
    const body = { since, rate_per_second: 4 };
    const recover = (more: object = {}) =>
      customer.ask<Replay>('POST', `/v1/endpoints/${id}/recover`, { body: { ...body, ...more } });
    const dry = await recover({ dry_run: true });
    expect(dry).toMatchObject({ id: null, total: 8, estimated_seconds: 2 });
    expect(dry.sample).toHaveLength(8);
    expect(replayedAt('/down')).toEqual([]);
    const replay = await whenMade(customer, (await recover()).id);
    expect(replay).toMatchObject({ kind: 'recover', total: 8, succeeded: 8, failed: 0 });
    expect(replayedAt('/down').sort()).toEqual([...during].sort());

    // Complete, but for one that the receiver itself has lost: it is sent again, and nothing else is.
    const [forgotten = ''] = before;
    stored.delete(forgotten);
    const reconcile = (more: object = {}) =>
      customer.ask<ReceivedComparison>('POST', `/v1/endpoints/${id}/reconcile`, {
        body: { ids: [...stored], ...more },
      });
    expect(await reconcile()).toMatchObject({ missing: [forgotten], unknown: [], more: false, replay: null });
    const { replay: repair } = await reconcile({ replay: true });
    expect(await whenMade(customer, repair?.id ?? null)).toMatchObject({
      ...{ kind: 'resend', total: 1, succeeded: 1, since: null, filter: { named: 1 } },
    });
    expect(await reconcile({ replay: true })).toMatchObject({ missing: [], unknown: [], replay: null });
    expect(replayedAt('/down').sort()).toEqual([...during, forgotten].sort());
    const kept = await customer.all<MeantMessage>(`/v1/endpoints/${id}/reconcile`);
    expect(kept.map(({ message_id }) => message_id)).toEqual([...before, ...during]);
  });

  it('"your signatures are wrong": the attempt, the version, who changed the secret; and sent again once it fits', async () => {
    const customer = await customerOf('signed');
    const { id } = await tenant.createEndpoint('signed', {
      ...{ url: receiver.url('/signed'), retry_policy: { preset: 'none' } },
    });
    let verifier = new Webhook(await tenant.secretOf(id));
    receiver.plan({
      path: '/signed',
      answers: ({ body, headers }) => {
        try {
          verifier.verify(body.toString(), headers as Record<string, string>);
          return 200;
        } catch {
          return 401;
        }
      },
    });
    const since = new Date(Date.now() - 1_000).toISOString();
    await publish('signed', 1);
    const [good] = (await deliveriesWhen('signed', '?status=delivered', 1)) as [SeenDelivery];
    // The one who did it has forgotten about it.
    await customer.ask('POST', `/v1/endpoints/${id}/secret/rotate`, { body: { overlap_seconds: 0 } });
    const refused = await publish('signed', 5);
    const [bad] = (await deliveriesWhen('signed', '?status=exhausted', 5)) as [SeenDelivery];

    const asOf = async (delivery: SeenDelivery): Promise<EndpointAsOf> => {
      const [attempt] = await tenant.attempts(delivery.id);
      return customer.ask('GET', `/v1/endpoints/${id}?attempt=${attempt?.id}`);
    };
    const [then, now] = [await asOf(good), await asOf(bad)];
    expect([then.version, now.version]).toEqual([1, 2]);
    const versions = await customer.all<EndpointVersion>(`/v1/endpoints/${id}/versions`);
    const between = versions.filter(({ version }) => version > then.version && version <= now.version);
    expect(between).toMatchObject([{ changed: [{ field: 'secret' }], action: 'endpoint.secret_rotated' }]);
    expect(between[0]?.actor).toMatch(/^key_/);

    verifier = new Webhook(await tenant.secretOf(id));
    const body = { endpoint_id: id, since, status_code: 401 };
    const { id: replay } = await customer.ask<Replay>('POST', '/v1/replays', { body });
    expect(await whenMade(customer, replay)).toMatchObject({ kind: 'resend', total: 5, succeeded: 5 });
    expect(replayedAt('/signed').sort()).toEqual([...refused].sort());
    await deliveriesWhen('signed', '?status=delivered', 6);
  });

  it('"we never got it": it says why for each endpoint, and sends them what they never had, once', async () => {
    const customer = await customerOf('never');
    const create = (name: string, more: object = {}) =>
      tenant.createEndpoint('never', { url: receiver.url(`/never/${name}`), ...more });
    const patch = (id: string, body: object) =>
      customer.ask<Endpoint>('PATCH', `/v1/endpoints/${id}`, { body });
    const witness = await create('witness');
    const filtered = await create('filtered', { event_types: ['invoice.paid'] });
    const off = await create('off', { enabled: false });
    receiver.plan({ path: '/never/gone', answers: [410] });
    const gone = await create('gone');
    const start_from = new Date(Date.now() - 1_000).toISOString();
    const wanted = await publish('never', 2);
    const all = [...wanted, ...(await publish('never', 1, 'something.else'))];
    const [first = ''] = wanted;
    const late = await create('late', { event_types: ['order.placed'] });
    await deliveriesWhen('never', `?endpoint_id=${witness.id}&status=delivered`, 3);
    await waitFor(async () => !(await customer.ask<Endpoint>('GET', `/v1/endpoints/${gone.id}`)).enabled);
    // It may have been switched off before the last of them were routed.
    const ended = await waitFor(async () => {
      const those = await tenant.deliveries('never', `?endpoint_id=${gone.id}`);
      return those.length > 0 && those.every(({ status }) => status === 'cancelled') && those;
    });

    const { data } = await customer.ask<Explanation>('GET', `/v1/messages/${first}/explain`);
    const of = ({ id }: { id: string }) => data.find(({ endpoint_id }) => endpoint_id === id);
    expect(of(witness)).toMatchObject({ matched: true, delivery: { status: 'delivered' } });
    expect(of(filtered)).toMatchObject({ matched: false, rule: 'event_types', wanted: ['invoice.paid'] });
    expect(of(off)).toMatchObject({ matched: false, rule: 'enabled', disabled_reason: 'requested' });
    expect(of(late)).toMatchObject({ matched: false, rule: 'created_later' });
    expect(of(gone)).toMatchObject({
      ...{ matched: true, delivery: { last_status_code: 410, reason: 'endpoint_gone' } },
    });

    // Put right, each in its way.
    await patch(filtered.id, { event_types: [] });
    await patch(off.id, { enabled: true });
    receiver.plan({ path: '/never/gone', answers: [200] });
    await patch(gone.id, { enabled: true });
    const until = new Date().toISOString();
    const backfill = (id: string, more: object = {}) =>
      customer.ask<Replay>('POST', `/v1/endpoints/${id}/backfill`, { body: { start_from, until, ...more } });
    const dry = await backfill(late.id, { dry_run: true });
    expect(dry).toMatchObject({ kind: 'backfill', total: 2, filter: { event_types: ['order.placed'] } });
    const recovering = await customer.ask<Replay>('POST', `/v1/endpoints/${gone.id}/recover`, {
      body: { since: start_from },
    });
    expect(await whenMade(customer, recovering.id)).toMatchObject({ total: ended.length });
    const started = await Promise.all([late, filtered, off, gone].map(({ id }) => backfill(id)));
    for (const { id } of started) await whenMade(customer, id);
    expect(replayedAt('/never/late').sort()).toEqual([...wanted].sort());
    for (const name of ['filtered', 'off', 'gone']) {
      expect(replayedAt(`/never/${name}`).sort()).toEqual([...all].sort());
    }

    // The same message: its id, its place, its bytes; with the endpoint's own signature.
    const at = (name: string) => receiver.at(`/never/${name}`).find(({ webhookId }) => webhookId === first);
    const [sent, original] = [at('late'), at('witness')] as [ReceivedRequest, ReceivedRequest];
    expect(sent.body).toEqual(original.body);
    expect(sent.headers['webhook-position']).toBe(original.headers['webhook-position']);
    new Webhook(await tenant.secretOf(late.id)).verify(
      String(sent.body),
      sent.headers as Record<string, string>,
    );
    const { missing } = await customer.ask<ReceivedComparison>('POST', `/v1/endpoints/${late.id}/reconcile`, {
      body: { ids: [] },
    });
    expect(missing).toEqual(wanted);

    // Nobody gets anything twice: what went to an endpoint is not asked for again, in whatever way it went there.
    for (const { id } of [late, filtered, off, witness, gone]) {
      expect(await backfill(id, { dry_run: true })).toMatchObject({ total: 0 });
    }
    // To another endpoint, what the one had: only what that one lacks.
    const twin = await create('twin', { event_types: ['nothing.yet'] });
    const body = {
      endpoint_id: witness.id,
      to_endpoint_id: twin.id,
      since: start_from,
      status: ['delivered'],
    };
    const copy = await customer.ask<Replay>('POST', '/v1/replays', { body });
    expect(await whenMade(customer, copy.id)).toMatchObject({ kind: 'copy', total: 3, succeeded: 3 });
    expect(replayedAt('/never/twin')).toHaveLength(3);
    expect(await customer.ask<Replay>('POST', '/v1/replays', { body })).toMatchObject({ total: 0 });
    expect(new Set(replayedAt('/never/twin')).size).toBe(3);
  });
});
