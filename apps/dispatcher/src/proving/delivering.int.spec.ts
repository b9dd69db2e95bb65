import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type DueMeta, type EndpointState, topics } from '@posthaste/contracts';
import { Receiver } from '@posthaste/test-kit';
import { Webhook } from 'standardwebhooks';
import { type LogUnderTest, memoryLog, postgresLog } from './logs.js';
import { type Actor, Stage } from './stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

let receiver: Receiver;
beforeAll(async () => {
  receiver = await Receiver.start();
});
afterAll(() => receiver.stop());

describe.each([
  ['memory', () => memoryLog()],
  ['Postgres', postgresLog],
])('on the %s log the dispatcher', (_, openLog) => {
  let log: LogUnderTest;
  let stage: Stage;
  let actor: Actor;
  beforeAll(async () => {
    log = await openLog();
    stage = await Stage.prepare(log);
    actor = await stage.start();
  }, 60_000);
  afterAll(async () => {
    await stage.close();
    await log.stop();
  });

  it('delivers the published bytes, signed, and writes down the attempt', async () => {
    expect(actor.health.failures()).toEqual({});
    const endpoint = await stage.configureEndpoint(receiver.url('/a'), { headers: { 'X-Shop': '7' } });
    const payload = '{"n":12345678901234567890,"x":1.10,"é":"\\u0000"}';
    const { meta, deliveries } = await stage.publish([endpoint], payload);
    const [request] = await receiver.whenReceived(1, (r) => r.webhookId === meta.id);
    expect(request?.body.toString()).toBe(payload);
    expect(request?.headers['x-shop']).toBe('7');
    const headers = request?.headers as Record<string, string>;
    expect(() => new Webhook(endpoint.secret).verify(payload, headers)).not.toThrow();
    const [event] = await stage.eventsOf(deliveries[0]);
    const { account, id, url } = endpoint;
    expect(event).toMatchObject({
      ...{
        type: 'DeliveryAttempted',
        message: meta.id,
        endpoint: id,
        account,
        attempt: 1,
        trigger: 'publish',
      },
      ...{ outcome: 'succeeded', decision: { kind: 'delivered' }, endpointVersion: 1, profile: 'standard' },
      request: { url, headers: { 'webhook-signature': headers['webhook-signature'] } },
      response: { status: 200, body: '', bodyTruncated: false },
    });
  });

  it('decides a retry, and makes the attempt that comes due with the configuration of then', async () => {
    receiver.plan({
      path: '/retry',
      answers: [{ status: 503, body: 'busy', headers: { 'retry-after': '60' } }],
    });
    const endpoint = await stage.configureEndpoint(receiver.url('/retry'));
    const published = await stage.publish([endpoint]);
    const [first] = await stage.attemptsOf([published]);
    expect(first).toMatchObject({
      outcome: 'failed',
      error: { class: 'http_status' },
      response: { status: 503, body: Buffer.from('busy').toString('base64') },
      decision: { kind: 'retry' },
    });
    const at = first?.decision.kind === 'retry' ? first.decision.at : 0;
    expect(at - (first?.startedAt ?? 0)).toBeGreaterThanOrEqual(60_000);

    const moved: EndpointState = { ...endpoint, version: 2, url: receiver.url('/moved') };
    await stage.configure(moved);
    const routes = [{ endpoint: endpoint.id, version: 2 }];
    const due: DueMeta = { ...published.meta, routes, attempt: 2, trigger: 'retry' };
    await stage.append(topics.due, { meta: due, payload: Buffer.from('{"a":1.10}') });
    const [, second] = await stage.eventsOf(published.deliveries[0], 2);
    expect(second).toMatchObject({ attempt: 2, trigger: 'retry', outcome: 'succeeded', endpointVersion: 2 });
    expect(receiver.at('/moved').map((r) => r.webhookId)).toEqual([published.meta.id]);
    receiver.requests.length = 0;
  });

  it('makes an attempt once, however often the log hands it out', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url('/once'));
    const { meta, deliveries } = await stage.publish([endpoint]);
    await stage.eventsOf(deliveries[0]);
    const again = await stage.append(topics.messages, { meta, payload: Buffer.from('{}') });
    const after = await stage.publish([endpoint]);
    await stage.eventsOf(after.deliveries[0]);
    await actor.log.whenCommitted([again]);
    expect(receiver.at('/once').map((r) => r.webhookId)).toEqual([meta.id, after.meta.id]);
    receiver.requests.length = 0;
  });

  it('has committed everything once stopped', async () => {
    await stage.stop(actor);
    expect(await stage.lag()).toBe(0);
  });
});
