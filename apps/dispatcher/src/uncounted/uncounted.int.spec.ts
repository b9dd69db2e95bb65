import {
  Client,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  DISPATCH_SERVICE,
  type EndpointState,
  grpcLoader,
  protoPath,
  type HistoryAttempt,
  newId,
  type SendTestReply,
  type SendTestRequest,
  type ShadowAttempted,
} from '@posthaste/contracts';
import { type Answer, Receiver } from '@posthaste/test-kit';
import { Webhook } from 'standardwebhooks';
import { HeldReceiver } from '../proving/held-receiver.js';
import { memoryLog } from '../proving/logs.js';
import { type Actor, Stage } from '../proving/stage.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

let stage: Stage;
let receiver: Receiver;
let actor: Actor;
let client: Client & Record<string, unknown>;
beforeAll(async () => {
  stage = await Stage.prepare(await memoryLog());
  receiver = await Receiver.start();
  actor = await stage.start();
  const definition = loadPackageDefinition(loadSync(protoPath('dispatch'), grpcLoader)) as unknown as {
    posthaste: { dispatch: { v1: Record<string, ServiceClientConstructor> } };
  };
  const Dispatch = definition.posthaste.dispatch.v1[DISPATCH_SERVICE] as ServiceClientConstructor;
  client = new Dispatch(`127.0.0.1:${actor.dispatcher.grpcPort}`, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await stage.close();
  await receiver.stop();
});

/** One more message to an endpoint that answers: what was to be written before it has been written. */
async function settle(): Promise<void> {
  const marker = await stage.configureEndpoint(receiver.url('/marker'));
  await stage.attemptsOf([await stage.publish([marker])]);
}

describe('a test message', () => {
  const sendTest = (
    endpoint: Pick<EndpointState, 'id' | 'version'>,
    more: Partial<SendTestRequest> = {},
  ): Promise<HistoryAttempt> =>
    new Promise((resolve, reject) => {
      const call = client['SendTest'] as (
        request: SendTestRequest,
        done: (error: Error | null, reply: SendTestReply) => void,
      ) => void;
      const request = { tenant: stage.tenant, endpoint: endpoint.id, version: endpoint.version };
      const payload = Buffer.from('{"n":1.10}');
      call.call(client, { ...request, event_type: 'invoice.paid', payload, ...more }, (error, reply) =>
        error ? reject(error) : resolve(reply.attempt),
      );
    });

  it('is in the form of the profile, with the account it is for', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url('/test-linkup'), {
      ...{ profile: 'linkup', secrets: [] },
    });
    const attempt = await sendTest(endpoint, { subject: { uid: 'acme', name: '' } });
    expect(attempt).toMatchObject({ profile: 'linkup', outcome: 'succeeded' });
    const [request] = receiver.at('/test-linkup');
    expect(request?.headers).toMatchObject({ 'webhook-test': 'true' });
    expect(request?.body.toString()).toMatch(
      /^\{"account_id":"acme","account_name":"","event":\{"n":1\.10\},"timestamp":"[^"]+Z"\}$/,
    );
  });

  it('is signed and flagged, and answered with the attempt, of which nothing is in the log', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url('/test'), { headers: { 'X-Shop': '7' } });
    receiver.plan({ path: '/test', answers: [{ status: 201, body: 'thanks' }] });
    const attempt = await sendTest(endpoint);
    const [request] = receiver.at('/test');
    expect(request?.headers).toMatchObject({ 'webhook-test': 'true', 'x-shop': '7' });
    expect(request?.webhookId).toMatch(/^msg_/);
    expect(request?.body.toString()).toBe('{"n":1.10}');
    const headers = request?.headers as Record<string, string>;
    expect(() => new Webhook(endpoint.secret).verify('{"n":1.10}', headers)).not.toThrow();
    expect(attempt).toMatchObject({
      ...{ id: expect.stringMatching(/^att_/), number: 1, trigger: 'test', outcome: 'succeeded' },
      ...{ request_url: endpoint.url, response_status: 201, response_body: Buffer.from('thanks') },
      ...{ endpoint_version: 1, profile: 'standard', duration_ms: expect.any(Number) },
    });
    expect(JSON.parse(attempt.request_headers_json)).toMatchObject({ 'webhook-id': request?.webhookId });
    await settle();
    expect(stage.events.filter((event) => event.endpoint === endpoint.id)).toEqual([]);
  });

  it.each<[string, Answer | 'refuse', object]>([
    ['gone', 410, { error_class: 'http_status', response_status: 410 }],
    ['failing', { status: 500, body: 'no' }, { error_class: 'http_status', response_status: 500 }],
    ['silent', 'hang', { error_class: 'timeout' }],
    ['away', 'refuse', { error_class: 'connection' }],
  ])('of a receiver that is %s is an answer too, and the endpoint goes on', async (name, answer, failure) => {
    const path = `/${name}`;
    if (answer !== 'refuse') receiver.plan({ path, answers: [answer, 200] });
    const stopped = await Receiver.start();
    const url = answer === 'refuse' ? stopped.url(path) : receiver.url(path);
    await stopped.stop();
    const endpoint = await stage.configureEndpoint(url, { timeoutSeconds: 0.3 });
    expect(await sendTest(endpoint)).toMatchObject({ outcome: 'failed', ...failure });
    if (answer === 'refuse') return;
    const [event] = await stage.attemptsOf([await stage.publish([endpoint])]);
    expect(event).toMatchObject({ attempt: 1, outcome: 'succeeded' });
    expect(receiver.at(path)[1]?.headers['webhook-test']).toBeUndefined();
  });

  it('goes to a disabled endpoint as well, but not to a deleted one or one of another tenant', async () => {
    const off = await stage.configureEndpoint(receiver.url('/off'), { enabled: false });
    expect(await sendTest(off)).toMatchObject({ outcome: 'succeeded' });
    const gone = { ...off, version: 2, deleted: true };
    await stage.configure(gone);
    await expect(sendTest(gone)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    const other = await stage.configureEndpoint(receiver.url('/other'));
    await expect(sendTest(other, { tenant: newId('tenant') })).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(receiver.at('/other')).toEqual([]);
  });

  it('waits for the configuration that its caller has seen', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url('/before'));
    const sending = sendTest({ id: endpoint.id, version: 2 });
    await stage.configure({ ...endpoint, version: 2, url: receiver.url('/after') });
    expect(await sending).toMatchObject({ request_url: receiver.url('/after'), endpoint_version: 2 });
    const unknown = { id: newId('endpoint'), version: 1 };
    await expect(sendTest(unknown)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it('is one of few at a time, and takes no place from real traffic', async () => {
    const held = await HeldReceiver.start();
    try {
      const endpoint = await stage.configureEndpoint(held.url);
      const under = [sendTest(endpoint), sendTest(endpoint)];
      await held.whenReceived(2);
      await expect(sendTest(endpoint)).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
      // A lane has 16 places, all of which are still there.
      const published = await stage.publishMany(16, endpoint);
      await held.whenReceived(18);
      held.answerAll();
      await stage.attemptsOf(published);
      expect((await Promise.all(under)).map(({ outcome }) => outcome)).toEqual(['succeeded', 'succeeded']);
      expect(await sendTest(endpoint)).toMatchObject({ outcome: 'succeeded' });
    } finally {
      await held.stop();
    }
  });
});

describe('a shadow URL', () => {
  const shadowsOf = (delivery: string | undefined): Promise<ShadowAttempted[]> =>
    stage.eventsOf(delivery, 2).then((events) => events.filter((event) => event.type === 'ShadowAttempted'));

  it('gets the same request after the first attempt, flagged, and what came of it is told', async () => {
    receiver.plan({ path: '/shadow', answers: [{ status: 500, body: 'differs' }] });
    const endpoint = await stage.configureEndpoint(receiver.url('/real'), {
      shadowUrl: receiver.url('/shadow'),
      headers: { 'X-Shop': '7' },
    });
    const { meta, deliveries } = await stage.publish([endpoint], '{"n":1.10}');
    const [event] = await shadowsOf(deliveries[0]);
    expect(event).toMatchObject({
      ...{ delivery: deliveries[0], message: meta.id, attempt: 1, url: receiver.url('/shadow') },
      ...{ outcome: 'failed', error: { class: 'http_status' } },
      response: { status: 500, body: Buffer.from('differs').toString('base64') },
    });
    const [real, shadow] = [receiver.at('/real')[0], receiver.at('/shadow')[0]];
    expect(shadow?.body).toEqual(real?.body);
    expect(shadow?.at).toBeGreaterThanOrEqual(real?.at ?? 0);
    expect(shadow?.headers).toEqual({ ...real?.headers, 'webhook-shadow': 'true' });
    const headers = shadow?.headers as Record<string, string>;
    expect(() => new Webhook(endpoint.secret).verify('{"n":1.10}', headers)).not.toThrow();
    // The real delivery is what it would have been.
    const attempts = (await stage.eventsOf(deliveries[0])).filter(({ type }) => type === 'DeliveryAttempted');
    expect(attempts).toMatchObject([{ outcome: 'succeeded', decision: { kind: 'delivered' } }]);
  });

  it('gets no copy of a retry', async () => {
    receiver.plan({ path: '/retried', answers: [503, 200] });
    const endpoint = await stage.configureEndpoint(receiver.url('/retried'), {
      shadowUrl: receiver.url('/retried-shadow'),
    });
    const published = await stage.publish([endpoint]);
    await stage.eventsOf(published.deliveries[0], 2);
    await stage.publishAgain(published, 2);
    await stage.eventsOf(published.deliveries[0], 3);
    await settle();
    expect(receiver.at('/retried')).toHaveLength(2);
    expect(receiver.at('/retried-shadow')).toHaveLength(1);
  });

  it('that hangs holds nothing up: copies beyond a few are left out', async () => {
    const held = await HeldReceiver.start();
    try {
      const endpoint = await stage.configureEndpoint(receiver.url('/busy'), { shadowUrl: held.url });
      const published = await stage.publishMany(40, endpoint);
      const attempts = await stage.attemptsOf(published);
      expect(attempts.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 40 }, () => 'succeeded'));
      await held.whenReceived(4);
      await settle();
      expect(held.ids).toHaveLength(4);
      held.answerAll();
      const copied = published.filter(({ meta }) => held.ids.includes(meta.id));
      const told = await Promise.all(copied.map(({ deliveries }) => shadowsOf(deliveries[0])));
      expect(told.map(([event]) => event?.outcome)).toEqual(Array.from({ length: 4 }, () => 'succeeded'));
    } finally {
      await held.stop();
    }
  });

  it('may not lead where an endpoint may not', async () => {
    const endpoint = await stage.configureEndpoint(receiver.url('/guarded'), {
      shadowUrl: 'http://169.254.169.254/latest/',
    });
    const { deliveries } = await stage.publish([endpoint]);
    expect(await shadowsOf(deliveries[0])).toMatchObject([
      { outcome: 'failed', error: { class: 'blocked_address' } },
    ]);
  });
});
