import { describe, expect } from '@jest/globals';
import { verifyAsync } from '@noble/ed25519';
import type { Stack } from '@posthaste/local-stack';
import {
  type Receiver,
  type SeenAttempt,
  type SeenDelivery,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { Webhook } from 'standardwebhooks';
import { tracesInLog } from './histories.js';
import { fromHistory, itOn, logsToTest, withParties } from './test-stack.js';

/** Every byte counts: a number beyond 2^53, a trailing zero, a name twice, an escape; then odd white space as well. */
const AWKWARD = '{"n":12345678901234567890,"d":1.10,"a":1,"a":2,"u":"\\u00e9"}';
const ODD = '\t{ "e" : "é\\/" ,\r\n"z":-0.0e-0 }';

describe.each(logsToTest())('a message on its way, log: $log', ({ start, openLog }) => {
  let stack: Stack;
  let receiver: Receiver;
  let tenant: TenantClient;
  const it = itOn(() => stack);
  withParties(start, (parties) => ({ stack, receiver, tenant } = parties));

  /** The only delivery of a message, once it has the status. */
  const deliveryWhen = (account: string, status: string): Promise<SeenDelivery> =>
    waitFor(
      async () => {
        const deliveries = await tenant.deliveries(account);
        if (deliveries.length === 1 && deliveries[0]?.status === status) return deliveries[0];
        throw new Error(JSON.stringify(deliveries));
      },
      { what: `the delivery ${status}`, everyMs: 100, deadlineMs: 30_000 },
    );

  it('arrives byte for byte, signed as the reference library demands, from the envelope and from the raw form', async () => {
    await tenant.putAccount('bytes');
    const { id } = await tenant.createEndpoint('bytes', { url: receiver.url('/bytes') });
    const path = '/v1/accounts/bytes/messages';
    const sent = new Map<string, string>();
    for (const payload of [AWKWARD, ODD]) {
      const envelope = { body: `{ "payload" :${payload}, "event_type":"order.placed"}` };
      const raw = { body: payload, headers: { 'webhook-event-type': 'order.placed' } };
      for (const request of [envelope, raw]) {
        sent.set((await tenant.rest.ask<{ id: string }>('POST', path, request)).id, payload);
      }
    }
    const received = await receiver.whenReceived(4, (request) => request.path === '/bytes');
    const verifier = new Webhook(await tenant.secretOf(id));
    for (const { webhookId, headers, body } of received) {
      // The envelope's white space around the payload is not the payload's.
      expect(body.toString().trim()).toBe(sent.get(webhookId)?.trim());
      expect(headers['content-type']).toBe('application/json');
      verifier.verify(body.toString(), headers as Record<string, string>);
    }
    expect(new Set(received.map(({ webhookId }) => webhookId))).toEqual(new Set(sent.keys()));
    expect(received.filter(({ body }) => body.toString() === AWKWARD)).toHaveLength(2);
  });

  it('is found by its id, with its deliveries, however soon after the 202 one asks', async () => {
    await tenant.putAccount('soon');
    await tenant.createEndpoint('soon', { url: receiver.url('/soon') });
    for (let n = 0; n < 30; n++) {
      const { id } = await tenant.publish('soon', 'order.placed', { n });
      const found = await fromHistory(() => tenant.rest.get<{ id: string }>(`/v1/messages/${id}`));
      expect([found.status, found.json.id]).toEqual([200, id]);
      const { json } = await tenant.rest.get<{ data: unknown[] }>(`/v1/messages/${id}/deliveries`);
      expect(json.data).toHaveLength(1);
    }
  });

  it('is tried again on schedule under the same id with a new timestamp, and every try is in the history', async () => {
    await tenant.putAccount('again');
    receiver.plan({
      path: '/again',
      answers: [
        { status: 500, body: 'no room' },
        { status: 503, body: 'later' },
        { status: 200, body: 'thanks' },
      ],
    });
    const retry_policy = { schedule_seconds: [1, 1] };
    const endpoint = await tenant.createEndpoint('again', { url: receiver.url('/again'), retry_policy });
    const before = Date.now();
    const message = await tenant.publish('again', 'order.placed', { n: 1 });
    expect(message.deliveries).toBe(1);
    const delivery = await deliveryWhen('again', 'delivered');
    expect(delivery).toMatchObject({ message_id: message.id, endpoint_id: endpoint.id, attempts: 3 });

    const attempts = await tenant.attempts(delivery.id);
    expect(attempts).toMatchObject([
      {
        number: 1,
        trigger: 'publish',
        outcome: 'failed',
        error: { class: 'http_status' },
        response: { status: 500, body: 'no room' },
      },
      {
        number: 2,
        trigger: 'retry',
        outcome: 'failed',
        error: { class: 'http_status' },
        response: { status: 503, body: 'later' },
      },
      {
        number: 3,
        trigger: 'retry',
        outcome: 'succeeded',
        error: null,
        response: { status: 200, body: 'thanks' },
      },
    ]);
    const startedAt = attempts.map(({ started_at }) => Date.parse(started_at));
    const owedAt = attempts.map(({ next_attempt_at }) => next_attempt_at && Date.parse(next_attempt_at));
    expect(startedAt[0]).toBeGreaterThanOrEqual(before);
    expect(startedAt[1]).toBeGreaterThanOrEqual(Number(owedAt[0]));
    expect(startedAt[2]).toBeGreaterThanOrEqual(Number(owedAt[1]));
    expect(owedAt[2]).toBeNull();

    const received = receiver.at('/again');
    const verifier = new Webhook(await tenant.secretOf(endpoint.id));
    for (const { body, headers } of received) {
      verifier.verify(body.toString(), headers as Record<string, string>);
    }
    expect(new Set(received.map(({ webhookId }) => webhookId))).toEqual(new Set([message.id]));
    const timestamps = received.map(({ headers }) => Number(headers['webhook-timestamp']));
    expect(timestamps).toEqual(startedAt.map((ms) => Math.floor(ms / 1_000)));
    expect(new Set(timestamps).size).toBe(3);
  });

  it('is given up after the last step of the schedule, and the history says so', async () => {
    await tenant.putAccount('never');
    receiver.plan({ path: '/never', answers: [500] });
    const retry_policy = { schedule_seconds: [0.1] };
    await tenant.createEndpoint('never', { url: receiver.url('/never'), retry_policy });
    await tenant.publish('never', 'order.placed', {});
    const delivery = await deliveryWhen('never', 'exhausted');
    expect((await tenant.attempts(delivery.id)).map(({ outcome }) => outcome)).toEqual(['failed', 'failed']);
    expect(receiver.at('/never')).toHaveLength(2);
  });

  it('goes only where an enabled endpoint wants it', async () => {
    await tenant.putAccount('choice');
    const off = await tenant.createEndpoint('choice', { url: receiver.url('/off') });
    await tenant.updateEndpoint(off.id, { enabled: false });
    await tenant.createEndpoint('choice', { url: receiver.url('/other'), event_types: ['order.paid'] });
    await tenant.createEndpoint('choice', { url: receiver.url('/on'), event_types: ['order.placed'] });
    expect(await tenant.publish('choice', 'order.placed', {})).toMatchObject({ deliveries: 1 });
    await deliveryWhen('choice', 'delivered');
    expect(receiver.at('/on')).toHaveLength(1);
    expect([...receiver.at('/off'), ...receiver.at('/other')]).toEqual([]);
  });

  it('is cancelled when its endpoint is deleted between two tries', async () => {
    await tenant.putAccount('gone');
    receiver.plan({ path: '/gone', answers: [500] });
    const retry_policy = { schedule_seconds: [3] };
    const { id } = await tenant.createEndpoint('gone', { url: receiver.url('/gone'), retry_policy });
    await tenant.publish('gone', 'order.placed', {});
    await receiver.whenReceived(1, ({ path }) => path === '/gone');
    await tenant.deleteEndpoint(id);
    const cancelled = await deliveryWhen('gone', 'cancelled');
    expect(cancelled.attempts).toBe(1);
    expect(receiver.at('/gone')).toHaveLength(1);
  });

  it('may be a test: sent at once to a disabled endpoint, answered with the attempt, and not counted', async () => {
    await tenant.putAccount('tried');
    receiver.plan({ path: '/tried', answers: [{ status: 410, body: 'not here' }] });
    const { id } = await tenant.createEndpoint('tried', { url: receiver.url('/tried'), enabled: false });
    await tenant.updateEndpoint(id, { timeout_seconds: 10 });
    const body = { event_type: 'order.placed', payload: { n: 1 } };
    const attempt = await tenant.rest.ask<SeenAttempt>('POST', `/v1/endpoints/${id}/test`, { body });
    const [request] = receiver.at('/tried');
    expect(attempt).toMatchObject({
      ...{ number: 1, trigger: 'test', outcome: 'failed', error: { class: 'http_status' } },
      request: { url: receiver.url('/tried'), headers: { 'webhook-id': request?.webhookId } },
      response: { status: 410, body: 'not here' },
    });
    expect(request?.headers['webhook-test']).toBe('true');
    const headers = request?.headers as Record<string, string>;
    expect(new Webhook(await tenant.secretOf(id)).verify(String(request?.body), headers)).toEqual({ n: 1 });
    // It would be there: what is published afterwards is.
    await tenant.updateEndpoint(id, { enabled: true, url: receiver.url('/tried-again') });
    const { id: message } = await tenant.publish('tried', 'order.placed', {});
    const delivered = await deliveryWhen('tried', 'delivered');
    expect(delivered.message_id).toBe(message);
    expect(receiver.at('/tried')).toHaveLength(1);
  });

  it('is copied to a shadow URL, signed with v1 and v1a, and both outcomes are shown side by side', async () => {
    await tenant.putAccount('copied');
    receiver.plan({ path: '/copy', answers: [500] });
    const { id } = await tenant.createEndpoint('copied', {
      url: receiver.url('/original'),
      shadow_url: receiver.url('/copy'),
    });
    const v1 = await tenant.secretOf(id);
    await tenant.rest.ask('POST', `/v1/endpoints/${id}/secret/rotate`, { body: { version: 'v1a' } });
    const { public_key } = await tenant.rest.ask<{ public_key: string }>('GET', `/v1/endpoints/${id}/secret`);
    await tenant.publish('copied', 'order.placed', { n: 1 });
    const delivery = await deliveryWhen('copied', 'delivered');
    await waitFor(async () => (await tenant.attempts(delivery.id))[0]?.shadow ?? null, { what: 'the copy' });
    expect(await tenant.attempts(delivery.id)).toMatchObject([
      {
        outcome: 'succeeded',
        response: { status: 200 },
        shadow: { status: 500, outcome: 'failed', url: receiver.url('/copy') },
      },
    ]);
    expect(await tenant.delivery(delivery.id)).toMatchObject({ status: 'delivered', attempts: 1 });
    const [original, copy] = [receiver.at('/original')[0], receiver.at('/copy')[0]];
    expect(copy?.body).toEqual(original?.body);
    expect(copy?.headers['webhook-shadow']).toBe('true');
    for (const request of [original, copy]) {
      const headers = request?.headers as Record<string, string>;
      expect(new Webhook(v1).verify(String(request?.body), headers)).toEqual({ n: 1 });
      const [newest, older] = String(headers['webhook-signature']).split(' ');
      expect(older).toMatch(/^v1,/);
      const signature = Buffer.from(newest?.replace(/^v1a,/, '') ?? '', 'base64');
      const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${String(request?.body)}`;
      const key = Buffer.from(public_key.slice('whpk_'.length), 'base64');
      expect(await verifyAsync(signature, Buffer.from(content), key)).toBe(true);
    }
    const { secrets } = await tenant.rest.ask<{ secrets: { last_used_at: string | null }[] }>(
      'GET',
      `/v1/endpoints/${id}/secret`,
    );
    const startedAt = (await tenant.attempts(delivery.id))[0]?.started_at;
    expect(secrets.map(({ last_used_at }) => last_used_at)).toEqual([startedAt, startedAt]);
  });

  it("carries no trace context while tracing is off, not even the caller's", async () => {
    await tenant.rest.ask('POST', '/v1/accounts/choice/messages', {
      body: { event_type: 'order.placed', payload: {} },
      headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
    });
    await receiver.whenReceived(2, ({ path }) => path === '/on');
    const records = await tracesInLog(await openLog(stack));
    expect(new Set(records.map(({ topic }) => topic))).toEqual(new Set(['messages', 'deliveries', 'due']));
    expect(records.filter(({ trace }) => trace !== undefined)).toEqual([]);
  });
});
