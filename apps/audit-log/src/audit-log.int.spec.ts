import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { ClientGrpcProxy } from '@nestjs/microservices';
import { metrics } from '@opentelemetry/api';
import {
  type AcceptedMessage,
  attemptId,
  deliveryId,
  type DeliveryEvent,
  HISTORY_SERVICE,
  type HistoryClient,
  historyClientTransport,
  newId,
  ROUTES_PER_RECORD,
  topics,
} from '@posthaste/contracts';
import { type EventLog, MemoryEventLog, openEventLog } from '@posthaste/event-log';
import { freePorts, startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, Health } from '@posthaste/runtime';
import { waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { firstValueFrom, type Observable } from 'rxjs';
import { type RunningAuditLog, startAuditLog } from './audit-log.js';
import { attempted, sampleMessage, shadowOf } from './history/sample-facts.js';
import { deleteExpired } from './retention/delete-expired.js';

const { logger } = createLogger('audit-log-spec', 'silent');
let postgres: TemporaryPostgres;
let database: pg.Pool;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('audit-log');
  database = new pg.Pool({ connectionString: postgres.url });
  // The server stops before the pool's last connection has ended, or under it.
  database.on('error', () => undefined);
}, 60_000);
afterAll(async () => {
  await database.end();
  await postgres.remove();
});

const logs: { kind: string; open: () => Promise<EventLog> }[] = [
  { kind: 'memory', open: async () => new MemoryEventLog() },
  { kind: 'postgres', open: () => openEventLog({ kind: 'postgres', url: postgres.url }) },
];

const ask = <T>(answer: Observable<T>): Promise<T> => firstValueFrom(answer);

describe.each(logs)('audit-log on the $kind log', ({ open }) => {
  const at = Date.now() - 60_000;
  const tenant = newId('tenant', at);
  const account = newId('account', at);
  const endpoints = [newId('endpoint', at), newId('endpoint', at)];
  const traffic = Array.from({ length: 25 }, (_, i) =>
    // Pairs share their instant, so paging must tell them apart by id.
    sampleMessage(
      { tenant, account, endpoint: '', at: at + 10 * Math.floor(i / 2) },
      {
        type: i % 5 === 0 ? 'invoice.voided' : 'invoice.paid',
        routes: endpoints.map((endpoint) => ({ endpoint, version: 1 })),
      },
    ),
  );
  const [first] = traffic as [AcceptedMessage];
  const ids = traffic.map(({ meta }) => meta.id);
  let log: EventLog;
  let service: RunningAuditLog;
  let health: Health;
  let proxy: ClientGrpcProxy;
  let history: HistoryClient;

  async function start(): Promise<void> {
    const [port] = await freePorts(1);
    health = new Health();
    service = await startAuditLog({
      config: {
        DATABASE_URL: postgres.url,
        DATABASE_POOL: 3,
        GRPC_HOST: '127.0.0.1',
        GRPC_PORT: port ?? 0,
        HISTORY_RETENTION_DAYS: 30,
        HISTORY_PAYLOAD_INDEX: 'on',
        HISTORY_YIELDS: 'off',
        POSTHASTE_AUDIT_KEYS: Buffer.alloc(32, 7).toString('base64'),
        FEED_RETENTION_HOURS: 24,
      },
      log,
      logger,
      health,
      meter: metrics.getMeter('spec'),
      fatal: (error) => {
        throw error;
      },
    });
    proxy = new ClientGrpcProxy(historyClientTransport(`127.0.0.1:${port}`));
    history = proxy.getService<HistoryClient>(HISTORY_SERVICE);
  }

  async function stop(): Promise<void> {
    proxy.close();
    await service.stop();
  }

  const append = (
    messages: AcceptedMessage[],
    events: DeliveryEvent[],
  ): ReturnType<EventLog['producer']['append']> =>
    log.producer.append([
      ...messages.map((message) => ({ topic: topics.messages, ...topics.messages.encode(message) })),
      ...events.map((event) => ({ topic: topics.deliveries, ...topics.deliveries.encode(event) })),
    ]);

  const whenReady = (): Promise<unknown> =>
    waitFor(() => Object.keys(health.failures()).length === 0, { what: 'audit-log ready' });

  beforeAll(async () => {
    await database.query('drop schema if exists history cascade');
    log = await open();
    await log.admin.ensureTopics([topics.messages, topics.deliveries, topics.config], 'single');
    await append(traffic.slice(0, 5), []);
    await start();
    await whenReady();
    await service.projection.whenApplied(
      await append(traffic.slice(5), [
        attempted(first, 1, { kind: 'retry', at: at + 1_000 }),
        attempted(first, 2, { kind: 'retry', at: at + 2_000 }),
        attempted(first, 3, { kind: 'delivered' }),
      ]),
    );
  }, 60_000);
  afterAll(async () => {
    await stop();
    await log.close();
  });

  it('answers for one message, with its payload and how many deliveries it has', async () => {
    const { message } = await ask(history.getMessage({ tenant, id: first.meta.id }));
    expect(message).toMatchObject({
      id: first.meta.id,
      account,
      event_type: 'invoice.voided',
      channels: ['billing'],
      tags: [],
      accepted_at: first.meta.at,
      config_version: 4,
      payload_bytes: first.payload.length,
      deliveries: 2,
    });
    const { payload, content_type } = await ask(history.getPayload({ tenant, id: first.meta.id }));
    expect(payload).toEqual(first.payload);
    expect(content_type).toBe('application/json');
  });

  it('has what the log holds, for who asks as of now', async () => {
    const sample = { tenant, account: newId('account'), endpoint: newId('endpoint'), at };
    for (let n = 0; n < 20; n++) {
      const message = sampleMessage(sample);
      const { id } = message.meta;
      const delivery = deliveryId(id, sample.endpoint);
      await append([message], []);
      expect((await ask(history.getMessage({ tenant, id, as_of_now: true }))).message).toMatchObject({ id });
      await append([], [attempted(message, 1, { kind: 'delivered' })]);
      const known = await ask(history.getDelivery({ tenant, id: delivery, as_of_now: true }));
      expect(known.delivery).toMatchObject({ id: delivery, status: 'delivered' });
    }
  });

  it('is UNAVAILABLE to who asks as of now while it cannot know how far the log is, and to nobody else', async () => {
    const away = jest.spyOn(log.admin, 'endOffsets').mockRejectedValue(new Error('away'));
    const request = { tenant, id: first.meta.id };
    await expect(ask(history.getMessage({ ...request, as_of_now: true }))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect((await ask(history.getMessage(request))).message).toMatchObject({ id: first.meta.id });
    away.mockRestore();
  });

  it('finds one attempt by its id, for its own tenant', async () => {
    const delivery = deliveryId(first.meta.id, endpoints[0] ?? '');
    const id = attemptId(delivery, 2);
    const { attempt } = await ask(history.getAttempt({ tenant, id }));
    expect(attempt).toMatchObject({ id, delivery, number: 2 });
    const { data } = await ask(history.listAttempts({ tenant, delivery, page: { limit: 10 } }));
    expect(attempt).toEqual(data.find((one) => one.id === id));
    expect(await ask(history.getAttempt({ tenant, id: attemptId(delivery, 9) }))).toEqual({});
    expect(await ask(history.getAttempt({ tenant: newId('tenant'), id }))).toEqual({});
  });

  it('tells the routes and deliveries of a message, of the endpoints asked for', async () => {
    const [endpoint = '', other = ''] = endpoints;
    const of = (more = {}) =>
      ask(history.getRoutes({ tenant, message: first.meta.id, endpoints: [endpoint], ...more }));
    const id = deliveryId(first.meta.id, endpoint);
    const { delivery } = await ask(history.getDelivery({ tenant, id }));
    expect(await of()).toEqual({
      routes: [{ endpoint, version: 1 }],
      deliveries: [delivery],
      partial: false,
    });
    expect((await of({ endpoints: [other, endpoint, newId('endpoint')] })).routes).toHaveLength(2);
    const nothing = { routes: [], deliveries: [], partial: false };
    expect(await of({ endpoints: [newId('endpoint')] })).toEqual(nothing);
    expect(await of({ tenant: newId('tenant') })).toEqual(nothing);
    expect(await of({ message: newId('message') })).toEqual(nothing);
  });

  it('says when a message has more routes than its first record, whose rest the deliveries tell', async () => {
    const many = Array.from({ length: ROUTES_PER_RECORD + 1 }, () => ({
      endpoint: newId('endpoint', at),
      version: 1,
    }));
    const last = many.at(-1)?.endpoint ?? '';
    const sample = { tenant, account: newId('account'), endpoint: '', at };
    const record = sampleMessage(sample, { routes: many.slice(0, ROUTES_PER_RECORD) });
    const rest = { ...record, meta: { ...record.meta, routes: many.slice(ROUTES_PER_RECORD) } };
    await service.projection.whenApplied(await append([record, rest], []));
    const reply = await ask(history.getRoutes({ tenant, message: record.meta.id, endpoints: [last] }));
    expect(reply).toMatchObject({ routes: [], partial: true, deliveries: [{ endpoint: last }] });
  });

  it('tells when an endpoint was last called, as far as its own tenant and account may know', async () => {
    const [called, other] = endpoints as [string, string];
    const of = (endpoint: string, more = {}) =>
      ask(history.getLastAttempt({ tenant, account, endpoint, ...more }));
    expect(await of(called)).toEqual({ started_at: first.meta.at + 300 });
    expect(await of(other)).toEqual({});
    expect(await of(called, { tenant: newId('tenant') })).toEqual({});
    expect(await of(called, { account: newId('account') })).toEqual({});
  });

  it('shows the copy of an attempt beside it, and counts it for nothing', async () => {
    const sample = { tenant, account: newId('account'), endpoint: endpoints[0] ?? '', at };
    const message = sampleMessage(sample);
    const delivery = deliveryId(message.meta.id, sample.endpoint);
    const real = attempted(message, 1, { kind: 'delivered' });
    const copy = shadowOf(real);
    // The copy first, and again: neither makes a delivery or an attempt.
    await service.projection.whenApplied(await append([], [copy]));
    expect(await ask(history.getDelivery({ tenant, id: delivery }))).toEqual({});
    await service.projection.whenApplied(await append([message], [real, copy]));
    const { delivery: row } = await ask(history.getDelivery({ tenant, id: delivery }));
    expect(row).toMatchObject({ status: 'delivered', attempts: 1, last_status_code: 200 });
    const page = { limit: 10 };
    const { data } = await ask(history.listAttempts({ tenant, delivery, page }));
    expect(data).toHaveLength(1);
    expect(JSON.parse(data[0]?.shadow_json ?? '')).toEqual(copy);
    const earlier = await ask(
      history.listAttempts({ tenant, delivery: deliveryId(first.meta.id, sample.endpoint), page }),
    );
    expect(earlier.data.map(({ shadow_json }) => shadow_json)).toEqual([undefined, undefined, undefined]);
  });

  it('pages messages newest first, without gaps or repeats, and stops', async () => {
    const seen: string[] = [];
    let more = true;
    let after: { after_at?: number; after_id?: string } = {};
    while (more) {
      const { data, has_more } = await ask(
        history.listMessages({ tenant, account, page: { limit: 4, ...after } }),
      );
      seen.push(...data.map((message) => message.id));
      const last = data.at(-1);
      after = { after_at: last?.accepted_at ?? 0, after_id: last?.id ?? '' };
      more = has_more ?? false;
    }
    const newestFirst = traffic.map(({ meta }) => meta).sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
    expect(seen).toEqual(newestFirst.map(({ id }) => id));
  });

  it('narrows lists by type, time, status, endpoint and message', async () => {
    const page = { limit: 100 };
    const voided = await ask(history.listMessages({ tenant, account, page, event_type: 'invoice.voided' }));
    expect(voided.data.map(({ id }) => id).sort()).toEqual(ids.filter((_, i) => i % 5 === 0).sort());
    const window = { since: at + 10, until: at + 30 };
    const inWindow = await ask(history.listMessages({ tenant, account, page, ...window }));
    expect(inWindow.data.map(({ id }) => id).sort()).toEqual(ids.slice(2, 6).sort());
    const delivered = await ask(history.listDeliveries({ tenant, account, page, status: 'delivered' }));
    expect(delivered.data).toMatchObject([{ message: first.meta.id, attempts: 3, last_status_code: 200 }]);
    const ofEndpoint = await ask(history.listDeliveries({ tenant, account, page, endpoint: endpoints[1] }));
    expect(ofEndpoint.data).toHaveLength(25);
    const ofMessage = await ask(history.listDeliveries({ tenant, account, page, message: ids[3] }));
    expect(ofMessage.data.map(({ message, status }) => [message, status])).toEqual([
      [ids[3], 'pending'],
      [ids[3], 'pending'],
    ]);
  });

  it('lists the attempts of a delivery, the last one first, with what was sent and answered', async () => {
    const delivery = deliveryId(first.meta.id, endpoints[0] ?? '');
    const newest = await ask(history.listAttempts({ tenant, delivery, page: { limit: 2 } }));
    expect(newest).toMatchObject({
      data: [
        {
          number: 3,
          outcome: 'succeeded',
          trigger: 'retry',
          response_status: 200,
          response_body: Buffer.from('ok'),
        },
        { number: 2, outcome: 'failed', error_class: 'http_status', next_attempt_at: at + 2_000 },
      ],
      has_more: true,
    });
    const last = newest.data[1];
    const page = { limit: 2, after_at: last?.started_at, after_id: last?.id };
    const oldest = await ask(history.listAttempts({ tenant, delivery, page }));
    expect(oldest.data.map(({ number }) => number)).toEqual([1]);
    expect(oldest.has_more ?? false).toBe(false);
    const headers = JSON.parse(last?.request_headers_json ?? '') as Record<string, string>;
    expect(headers['webhook-id']).toBe(first.meta.id);
    const { tls, timings } = attempted(first, 1, { kind: 'delivered' });
    expect(JSON.parse(last?.tls_json ?? 'null')).toEqual(tls);
    expect(JSON.parse(last?.timings_json ?? 'null')).toEqual(timings);
  });

  it('lists the attempts of an account, says where a search stopped, and counts them by the minute', async () => {
    const [endpoint = ''] = endpoints;
    const page = { limit: 2 };
    const failed = await ask(
      history.listAccountAttempts({ tenant, account, endpoint, page, outcome: 'failed', status_code: 503 }),
    );
    expect(failed).toMatchObject({
      data: [
        { number: 2, endpoint },
        { number: 1, endpoint },
      ],
      has_more: false,
    });
    const { reached_at, reached_id } = failed;
    expect([reached_at, reached_id]).toEqual([undefined, undefined]);
    const payload = { path: ['amount'], value_json: '12' };
    const found = await ask(history.listMessages({ tenant, account, page, payload, channel: 'billing' }));
    expect(found).toMatchObject({ data: [{}, {}], has_more: true });
    const minute = Math.floor((first.meta.at + 300) / 60_000);
    const range = { since: minute - 1, until: minute + 1, step: 1 };
    const { data, total } = await ask(history.getEndpointStats({ tenant, endpoint, ...range }));
    // One of them is of the spec's other account.
    expect(total).toMatchObject({ delivered: 2, failed: 2 });
    expect(data.reduce((sum, { delivered = 0, failed: lost = 0 }) => sum + delivered + lost, 0)).toBe(4);
    expect(total?.p50).toBeCloseTo(8.5, -1);
  });

  it('shows nothing to another tenant, nor to one that names none', async () => {
    for (const other of [newId('tenant'), '']) {
      const id = first.meta.id;
      const delivery = deliveryId(id, endpoints[0] ?? '');
      const page = { limit: 10 };
      expect((await ask(history.getMessage({ tenant: other, id }))).message).toBeUndefined();
      expect((await ask(history.getPayload({ tenant: other, id }))).payload).toBeUndefined();
      expect((await ask(history.getDelivery({ tenant: other, id: delivery }))).delivery).toBeUndefined();
      expect((await ask(history.listMessages({ tenant: other, account, page }))).data).toEqual([]);
      expect((await ask(history.listDeliveries({ tenant: other, account, page }))).data).toEqual([]);
      expect((await ask(history.listAttempts({ tenant: other, delivery, page }))).data).toEqual([]);
      expect((await ask(history.listAccountAttempts({ tenant: other, account, page }))).data).toEqual([]);
    }
  });

  it('rebuilds the same rows when the whole schema is dropped', async () => {
    const before = await allRows();
    await stop();
    await database.query('drop schema history cascade');
    await start();
    await whenReady();
    expect(await allRows()).toEqual(before);
  }, 30_000);

  it('deletes what is older than the retention, whole, and nothing else', async () => {
    const old = sampleMessage({ tenant, account, endpoint: endpoints[0] ?? '', at: at - 40 * 86_400_000 });
    const event = attempted(old, 1, { kind: 'delivered' });
    const before = await allRows();
    await service.projection.whenApplied(await append([old], [event, shadowOf(event)]));
    expect(await deleteExpired(database, Date.now() - 30 * 86_400_000)).toBe(5);
    expect(await deleteExpired(database, Date.now() - 30 * 86_400_000)).toBe(0);
    expect({ ...(await allRows()), position: [] }).toEqual({ ...before, position: [] });
  });

  it('gives the scheduler 100 of the largest payloads at once, and leaves out what it does not know', async () => {
    const payload = Buffer.alloc(256 * 1024, 7);
    const sample = { tenant, account: newId('account'), endpoint: endpoints[0] ?? '', at };
    const large = Array.from({ length: 100 }, () => ({ ...sampleMessage(sample), payload }));
    await service.projection.whenApplied(await append(large, []));
    const wanted = large.map(({ meta }) => deliveryId(meta.id, sample.endpoint));
    const { data } = await ask(history.getDueDeliveries({ ids: [...wanted, 'dlv_unknown'] }));
    expect(new Set(data.map(({ id }) => id))).toEqual(new Set(wanted));
    const one = data.find(({ id }) => id === wanted[0]);
    expect(one?.payload.equals(payload)).toBe(true);
    expect(one?.status).toBe('pending');
    expect(JSON.parse(one?.message_meta_json ?? '')).toEqual(large[0]?.meta);
  }, 30_000);

  it('is UNAVAILABLE without its database, and answers again when that is back', async () => {
    const read = (): Promise<unknown> => ask(history.getMessage({ tenant, id: first.meta.id }));
    await postgres.stop();
    await expect(read()).rejects.toMatchObject({ code: status.UNAVAILABLE, details: 'the database is away' });
    await postgres.restart();
    await expect(read()).resolves.toMatchObject({ message: { id: first.meta.id } });
  }, 30_000);

  async function allRows(): Promise<Record<string, string[]>> {
    const dump: Record<string, string[]> = {};
    for (const table of [
      'position',
      'message',
      'delivery',
      'attempt',
      'shadow_attempt',
      'endpoint_minute',
      'quarantine',
    ]) {
      const { rows } = await database.query<{ row: string }>(
        `select md5(t::text) as row from history.${table} t order by 1`,
      );
      dump[table] = rows.map(({ row }) => row);
    }
    return dump;
  }
});
