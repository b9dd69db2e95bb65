import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { metrics } from '@opentelemetry/api';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type ConfigState,
  deliveryId,
  type DeliveryAttempted,
  type DeliveryEvent,
  type DueMeta,
  type EndpointState,
  type MessageMeta,
  newId,
  type Topic,
  topics,
} from '@posthaste/contracts';
import {
  type EventLog,
  MemoryBroker,
  MemoryEventLog,
  partitionOf,
  PostgresEventLog,
} from '@posthaste/event-log';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@posthaste/local-stack';
import { createLogger, Health, type RunningService } from '@posthaste/runtime';
import { Receiver, waitFor } from '@posthaste/test-kit';
import { endpointSecretContext, Vault } from '@posthaste/vault';
import { Webhook } from 'standardwebhooks';
import { DISPATCHER_GROUP, startDispatcher } from './dispatcher.js';

const kek = { id: 'k1', key: randomBytes(32) };
const vault = new Vault([kek]);
const { logger } = createLogger('dispatcher', 'silent');

/** One tenant on one log: writes what the other services would, and reads what the dispatcher writes. */
class Stage {
  readonly tenant = newId('tenant');
  readonly events: DeliveryEvent[] = [];
  readonly log: EventLog;
  private readonly dataKey = vault.newDataKey(this.tenant);
  private readonly running = new Set<RunningService>();
  private following: { close(): Promise<void> } | undefined;

  constructor(private readonly openLog: () => EventLog) {
    this.log = openLog();
  }

  async prepare(): Promise<void> {
    await this.log.admin.ensureTopics(Object.values(topics), 'single');
    const { tenant: id, dataKey } = this;
    await this.configure({ kind: 'tenant', id, version: 1, deleted: false, name: 't', dataKeys: [dataKey] });
    this.following = await this.log.reader.follow(topics.deliveries, (record) => {
      const event = topics.deliveries.decode(record);
      if (event.tenant === this.tenant) this.events.push(event);
    });
  }

  configure(state: ConfigState): Promise<unknown> {
    return this.append(topics.config, state);
  }

  newEndpoint(url: string, fields: Partial<EndpointState> = {}): { state: EndpointState; secret: string } {
    const id = newId('endpoint');
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    const secretId = newId('secret');
    const sealed = vault.seal(this.dataKey, endpointSecretContext(this.tenant, id, secretId), secret);
    const state: EndpointState = {
      ...{ kind: 'endpoint', id, version: 1, deleted: false, tenant: this.tenant, account: newId('account') },
      ...{ config: 1, url, enabled: true, profile: 'standard', eventTypes: [], channels: [], headers: {} },
      ...{ retryPolicy: { preset: 'ada' }, timeoutSeconds: 15 },
      secrets: [{ id: secretId, sealed, createdAt: 0, expiresAt: null }],
      ...fields,
    };
    return { state, secret };
  }

  async configureEndpoint(url: string, fields: Partial<EndpointState> = {}) {
    const { state, secret } = this.newEndpoint(url, fields);
    await this.configure(state);
    return { ...state, secret };
  }

  meta(account: string, endpoints: Pick<EndpointState, 'id' | 'version'>[]): MessageMeta {
    const routes = endpoints.map(({ id, version }) => ({ endpoint: id, version }));
    const { tenant } = this;
    const facts = { type: 'invoice.paid', contentType: 'application/json', at: Date.now(), config: 1 };
    return { v: 1, id: newId('message'), tenant, account, ...facts, routes };
  }

  async publish(endpoints: EndpointState[], payload = '{"a":1.10}', account = endpoints[0]?.account ?? '') {
    const meta = this.meta(account, endpoints);
    await this.append(topics.messages, { meta, payload: Buffer.from(payload) });
    return { meta, deliveries: endpoints.map(({ id }) => deliveryId(meta.id, id)) };
  }

  append<T>(topic: Topic<T>, item: T): Promise<unknown> {
    return this.log.producer.append([{ topic, ...topic.encode(item) }]);
  }

  /** The events of a delivery, once there are so many. */
  eventsOf(delivery: string | undefined, count = 1): Promise<DeliveryEvent[]> {
    const found = () => this.events.filter((event) => event.delivery === delivery);
    return waitFor(() => (found().length >= count ? found() : null), { what: `${count} events` });
  }

  async start(
    own: { lane?: number } = {},
  ): Promise<{ dispatcher: RunningService; health: Health; log: EventLog }> {
    const log = this.openLog();
    const health = new Health();
    const dispatcher = await startDispatcher({
      config: {
        POSTHASTE_KEKS: `${kek.id}:${kek.key.toString('base64')}`,
        POSTHASTE_EGRESS_ALLOW: '127.0.0.0/8',
        DISPATCHER_LANE_IN_FLIGHT: own.lane ?? 16,
        DISPATCHER_IN_FLIGHT: 1_500,
        DISPATCHER_LOG_ATTEMPTS: 'on',
      },
      ...{ log, logger, health },
      telemetry: { meter: metrics.getMeter('test'), tracing: false },
      fatal: (error) => {
        throw error;
      },
    });
    this.running.add(dispatcher);
    return { dispatcher, health, log };
  }

  async stop(dispatcher: RunningService): Promise<void> {
    this.running.delete(dispatcher);
    await dispatcher.stop();
  }

  async close(): Promise<void> {
    await Promise.all([...this.running].map((dispatcher) => dispatcher.stop()));
    await this.following?.close();
    await this.log.close();
  }
}

let postgres: EmbeddedPostgres;
let receiver: Receiver;
const folder = mkdtempSync(path.join(tmpdir(), 'posthaste-dispatcher-'));

beforeAll(async () => {
  // Under root the server runs as another user, who must be able to enter.
  chmodSync(folder, 0o755);
  postgres = await startEmbeddedPostgres({ dataDir: path.join(folder, 'postgres') });
  receiver = await Receiver.start();
}, 60_000);
afterAll(async () => {
  await receiver.stop();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  [
    'the memory log',
    () => {
      const broker = new MemoryBroker();
      return () => new MemoryEventLog({ broker });
    },
  ],
  ['the Postgres log', () => () => PostgresEventLog.open({ url: postgres.url })],
] as [string, () => () => EventLog][])('the dispatcher on %s', (_, openLogs) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = new Stage(openLogs());
    await stage.prepare();
  });
  afterAll(() => stage.close());

  const attempts = (events: DeliveryEvent[]): DeliveryAttempted[] =>
    events.filter((event) => event.type === 'DeliveryAttempted');

  it('delivers the published bytes, signed, and writes down the attempt', async () => {
    const { dispatcher, health } = await stage.start();
    expect(health.failures()).toEqual({});
    const endpoint = await stage.configureEndpoint(receiver.url('/a'), { headers: { 'X-Shop': '7' } });
    const payload = '{"n":12345678901234567890,"x":1.10,"é":"\\u0000"}';
    const { meta, deliveries } = await stage.publish([endpoint], payload);
    const [request] = await receiver.whenReceived(1, (r) => r.webhookId === meta.id);
    expect(request?.body.toString()).toBe(payload);
    expect(request?.headers['x-shop']).toBe('7');
    const headers = request?.headers as Record<string, string>;
    expect(() => new Webhook(endpoint.secret).verify(payload, headers)).not.toThrow();
    const [event] = await stage.eventsOf(deliveries[0]);
    expect(event).toMatchObject({
      type: 'DeliveryAttempted',
      ...{
        message: meta.id,
        endpoint: endpoint.id,
        account: endpoint.account,
        attempt: 1,
        trigger: 'publish',
      },
      ...{ outcome: 'succeeded', decision: { kind: 'delivered' }, endpointVersion: 1, profile: 'standard' },
      request: { url: endpoint.url },
      response: { status: 200, body: '', bodyTruncated: false },
    });
    await stage.stop(dispatcher);
    const lag = await stage.log.admin.lag(DISPATCHER_GROUP, [topics.messages]);
    expect(lag.reduce((sum, entry) => sum + entry.lag, 0)).toBe(0);
  });

  it('decides a retry, and makes the attempt that comes due with the configuration of then', async () => {
    const { dispatcher } = await stage.start();
    receiver.plan({
      path: '/retry',
      answers: [{ status: 503, body: 'busy', headers: { 'retry-after': '60' } }],
    });
    const endpoint = await stage.configureEndpoint(receiver.url('/retry'));
    const { meta, deliveries } = await stage.publish([endpoint]);
    const [first] = attempts(await stage.eventsOf(deliveries[0]));
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
    const due: DueMeta = {
      ...meta,
      routes: [{ endpoint: endpoint.id, version: 2 }],
      attempt: 2,
      trigger: 'retry',
    };
    await stage.append(topics.due, { meta: due, payload: Buffer.from('{"a":1.10}') });
    const [, second] = attempts(await stage.eventsOf(deliveries[0], 2));
    expect(second).toMatchObject({ attempt: 2, trigger: 'retry', outcome: 'succeeded', endpointVersion: 2 });
    expect(receiver.at('/moved').map((r) => r.webhookId)).toEqual([meta.id]);
    await stage.stop(dispatcher);
  });

  it('puts off what a hanging endpoint cannot take, and sends the rest of its account meanwhile', async () => {
    const { dispatcher } = await stage.start({ lane: 2 });
    receiver.plan({ path: '/hang', answers: ['hang'] });
    const hanging = await stage.configureEndpoint(receiver.url('/hang'), { timeoutSeconds: 4 });
    const healthy = await stage.configureEndpoint(receiver.url('/healthy'), { account: hanging.account });
    const stuck = await Promise.all(Array.from({ length: 5 }, () => stage.publish([hanging])));
    const sent = await stage.publish([healthy], '{}', hanging.account);
    const [delivered] = await stage.eventsOf(sent.deliveries[0]);
    expect(delivered).toMatchObject({ type: 'DeliveryAttempted', outcome: 'succeeded' });
    expect(stage.events.some((event) => event.endpoint === hanging.id)).toBe(false);

    const events = (await Promise.all(stuck.map(({ deliveries }) => stage.eventsOf(deliveries[0])))).flat();
    const put = events.filter((event) => event.type === 'DeliveryDeferred');
    expect(put).toHaveLength(3);
    for (const event of put) {
      expect(event).toMatchObject({ attempt: 1, reason: 'lane_slow' });
      expect(event.until - event.at).toBeGreaterThanOrEqual(5_000);
    }
    expect(attempts(events).map((event) => event.error?.class)).toEqual(['timeout', 'timeout']);
    await stage.stop(dispatcher);
  });

  it('sends a message to all its endpoints, and is not done before the slow one is', async () => {
    const { dispatcher } = await stage.start();
    receiver.plan({ path: '/slow', answers: [{ status: 200, delayMs: 1_500 }] });
    const slow = await stage.configureEndpoint(receiver.url('/slow'));
    const quick = await stage.configureEndpoint(receiver.url('/quick'), { account: slow.account });
    const { deliveries } = await stage.publish([slow, quick]);
    await stage.eventsOf(deliveries[1]);
    expect(stage.events.some((event) => event.delivery === deliveries[0])).toBe(false);
    await stage.eventsOf(deliveries[0]);
    await stage.stop(dispatcher);
    expect(receiver.at('/slow')).toHaveLength(1);
    expect(receiver.at('/quick')).toHaveLength(1);
    receiver.requests.length = 0;
  });

  it('cancels what belongs to an endpoint that was disabled or deleted', async () => {
    const { dispatcher } = await stage.start();
    const off = await stage.configureEndpoint(receiver.url('/off'));
    await stage.configure({ ...off, version: 2, enabled: false });
    const gone = await stage.configureEndpoint(receiver.url('/gone'), { deleted: true, version: 3 });
    const { deliveries } = await stage.publish([{ ...off, version: 2 }, gone], '{}', off.account);
    const [disabled] = await stage.eventsOf(deliveries[0]);
    const [deleted] = await stage.eventsOf(deliveries[1]);
    expect(disabled).toMatchObject({ type: 'DeliveryCancelled', reason: 'endpoint_disabled', attempt: 1 });
    expect(deleted).toMatchObject({ type: 'DeliveryCancelled', reason: 'endpoint_deleted' });
    expect([...receiver.at('/off'), ...receiver.at('/gone')]).toEqual([]);
    await stage.stop(dispatcher);
  });

  it('waits for configuration that comes late, and puts off what it cannot know', async () => {
    const { dispatcher } = await stage.start();
    const { state: late } = stage.newEndpoint(receiver.url('/late'));
    const { deliveries } = await stage.publish([late]);
    const { state: never } = stage.newEndpoint(receiver.url('/never'));
    const unknown = await stage.publish([never]);
    await stage.configure(late);
    const [sent] = await stage.eventsOf(deliveries[0]);
    expect(sent).toMatchObject({ type: 'DeliveryAttempted', outcome: 'succeeded' });
    const [put] = await stage.eventsOf(unknown.deliveries[0]);
    expect(put).toMatchObject({ type: 'DeliveryDeferred', reason: 'config_unavailable', attempt: 1 });
    await stage.stop(dispatcher);
  });

  it('passes over records it cannot read', async () => {
    const { dispatcher } = await stage.start();
    const endpoint = await stage.configureEndpoint(receiver.url('/after-junk'));
    const key = endpoint.account;
    await stage.log.producer.append([
      { topic: topics.messages, key, value: Buffer.from('x'), meta: '{"v":9}' },
    ]);
    const { deliveries } = await stage.publish([endpoint]);
    await stage.eventsOf(deliveries[0]);
    await stage.stop(dispatcher);
    const lag = await stage.log.admin.lag(DISPATCHER_GROUP, [topics.messages]);
    expect(lag.reduce((sum, entry) => sum + entry.lag, 0)).toBe(0);
  });

  it('makes an attempt once, however often the log hands it out', async () => {
    const { dispatcher } = await stage.start();
    const endpoint = await stage.configureEndpoint(receiver.url('/once'));
    const { meta, deliveries } = await stage.publish([endpoint]);
    await stage.eventsOf(deliveries[0]);
    await stage.append(topics.messages, { meta, payload: Buffer.from('{}') });
    const after = await stage.publish([endpoint]);
    await stage.eventsOf(after.deliveries[0]);
    expect(receiver.at('/once').map((r) => r.webhookId)).toEqual([meta.id, after.meta.id]);
    await stage.stop(dispatcher);
  });

  it('loses nothing when it ends in the middle, and does not repeat what the commit says is done', async () => {
    const first = await stage.start();
    receiver.plan({ path: '/stuck', answers: ['hang', 200] });
    const stuck = await stage.configureEndpoint(receiver.url('/stuck'), { timeoutSeconds: 30 });
    const fine = await stage.configureEndpoint(receiver.url('/fine'), { account: stuck.account });
    const blocking = await stage.publish([stuck]);
    const passed = await Promise.all(Array.from({ length: 20 }, () => stage.publish([fine])));
    await Promise.all(passed.map(({ deliveries }) => stage.eventsOf(deliveries[0])));
    const partition = partitionOf(stuck.account, topics.messages.partitions.single);
    // Everything but the stuck one is done and committed above the low watermark; then the process is gone.
    await waitFor(async () => {
      const lags = await stage.log.admin.lag(DISPATCHER_GROUP, [topics.messages]);
      return lags.find((entry) => entry.partition === partition)?.lag === 21;
    });
    await first.log.close();
    await stage.stop(first.dispatcher).catch(() => undefined);

    const second = await stage.start();
    const [event] = attempts(await stage.eventsOf(blocking.deliveries[0]));
    expect(event).toMatchObject({ outcome: 'succeeded', attempt: 1 });
    const more = await stage.publish([fine]);
    await stage.eventsOf(more.deliveries[0]);
    expect(receiver.at('/stuck').map((r) => r.webhookId)).toEqual([blocking.meta.id, blocking.meta.id]);
    const ids = receiver.at('/fine').map((r) => r.webhookId);
    expect(ids.toSorted()).toEqual([...passed, more].map(({ meta }) => meta.id).toSorted());
    await stage.stop(second.dispatcher);
    receiver.requests.length = 0;
  }, 40_000);
});
