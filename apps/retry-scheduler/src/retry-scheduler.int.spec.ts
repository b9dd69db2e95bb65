import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { loadPackageDefinition, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { metrics } from '@opentelemetry/api';
import {
  type AcceptedMessage,
  type DeliveryEvent,
  type DueDelivery,
  type DueDeliveryPayload,
  HISTORY_PACKAGE,
  HISTORY_SERVICE,
  grpcLoader,
  newId,
  protoPath,
  topics,
} from '@posthaste/contracts';
import { type EventLog, MemoryBroker, MemoryEventLog, openEventLog } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, Health } from '@posthaste/runtime';
import { waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { type RunningRetryScheduler, startRetryScheduler } from './retry-scheduler.js';
import { attempted, cancelled, configured, deferred, deliveryOf, sampleMessage } from './sample-facts.js';

// Above the 20 s after which a wait says what did not come.
jest.setTimeout(30_000);

const { logger } = createLogger('retry-scheduler-spec', 'silent');
const history = new Server();
const known = new Map<string, DueDeliveryPayload>();
let historyAddress: string;
let postgres: TemporaryPostgres;
let database: pg.Pool;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('scheduler');
  database = new pg.Pool({ connectionString: postgres.url });
  // The server stops before the pool's last connection has ended, or under it.
  database.on('error', () => undefined);
  historyAddress = await serveHistory();
}, 60_000);
afterAll(async () => {
  history.forceShutdown();
  await database.end();
  await postgres.remove();
});

/** The part of audit-log's gRPC interface that the scheduler asks, answering from `known`. */
async function serveHistory(): Promise<string> {
  const loaded = loadPackageDefinition(loadSync(protoPath('history'), grpcLoader));
  const ofPackage = HISTORY_PACKAGE.split('.').reduce<unknown>(
    (level, name) => (level as Record<string, unknown>)[name],
    loaded,
  );
  const { service } = (ofPackage as Record<string, { service: ServiceDefinition }>)[HISTORY_SERVICE] ?? {};
  if (!service) throw new Error('the proto has no such service');
  history.addService(service, {
    GetDueDeliveries: (
      { request }: { request: { ids: string[] } },
      answer: (error: null, reply: { data: DueDeliveryPayload[] }) => void,
    ) => {
      const data = request.ids.map((id) => known.get(id)).filter((entry) => entry !== undefined);
      answer(null, { data });
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    history.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return `127.0.0.1:${port}`;
}

const broker = new MemoryBroker();
const logs: { kind: string; open: () => Promise<EventLog> }[] = [
  { kind: 'memory', open: async () => new MemoryEventLog({ broker }) },
  { kind: 'postgres', open: () => openEventLog({ kind: 'postgres', url: postgres.url }) },
];

describe.each(logs)('retry-scheduler on the $kind log', ({ open }) => {
  let log: EventLog;
  let released: DueDelivery[];
  let following: Awaited<ReturnType<EventLog['reader']['follow']>>;
  const running: { service: RunningRetryScheduler; log: EventLog; health: Health }[] = [];

  beforeAll(async () => {
    await database.query(
      'drop schema if exists schedule cascade; drop schema if exists schedule_rebuild cascade',
    );
    log = await open();
    await log.admin.ensureTopics([topics.deliveries, topics.due, topics.config], 'single');
  });
  afterAll(() => log.close());
  beforeEach(async () => {
    known.clear();
    released = [];
    following = await log.reader.follow(topics.due, (record) => {
      released.push(topics.due.decode(record));
    });
    await following.caughtUp;
    // What earlier tests released.
    released.length = 0;
  });
  afterEach(async () => {
    for (const one of running.splice(0)) await stop(one);
    await following.close();
  });

  async function start(): Promise<(typeof running)[number]> {
    const own = await open();
    const health = new Health();
    const service = await startRetryScheduler({
      config: {
        GRPC_HOST: '127.0.0.1',
        GRPC_PORT: 0,
        DATABASE_URL: postgres.url,
        HISTORY_ADDRESS: historyAddress,
      },
      log: own,
      logger,
      health,
      meter: metrics.getMeter('spec'),
      fatal: (error) => {
        throw error;
      },
    });
    const one = { service, log: own, health };
    running.push(one);
    await waitFor(() => Object.keys(health.failures()).length === 0, { what: 'retry-scheduler ready' });
    return one;
  }

  async function stop({ service, log: own }: (typeof running)[number]): Promise<void> {
    await service.stop();
    await own.close();
  }

  const append = (events: DeliveryEvent[]): ReturnType<EventLog['producer']['append']> =>
    log.producer.append(
      events.map((event) => ({ topic: topics.deliveries, ...topics.deliveries.encode(event) })),
    );

  function remember(messages: AcceptedMessage[], attempts = 1): void {
    for (const { meta, payload } of messages) {
      const id = deliveryOf({ meta, payload });
      const message_meta_json = JSON.stringify(meta);
      known.set(id, { id, status: 'retrying', attempts, message_meta_json, payload });
    }
  }

  const dueRows = async (): Promise<Record<string, unknown>[]> =>
    (await database.query<Record<string, unknown>>('select * from schedule.due order by delivery')).rows;
  const positions = async (): Promise<unknown[]> =>
    (await database.query<{ next: string }>('select * from schedule.position order by topic, partition'))
      .rows;

  it('hands an attempt over at its time, once, and forgets it', async () => {
    const { service } = await start();
    const message = sampleMessage();
    remember([message]);
    const at = Date.now() + 300;
    await service.projection.whenApplied(await append([attempted(message, 1, { kind: 'retry', at })]));
    await waitFor(() => released.length > 0);
    expect(Date.now()).toBeGreaterThanOrEqual(at);
    expect(released).toMatchObject([{ meta: { id: message.meta.id, attempt: 2, trigger: 'retry' } }]);
    expect(released[0]?.payload).toEqual(message.payload);
    await waitFor(async () => (await dueRows()).length === 0);
  });

  it('hands over at once what is owed to endpoints that are gone, with the version that says so', async () => {
    const { service } = await start();
    const [retried, down] = [newId('endpoint'), newId('endpoint')];
    const [waiting, inFlight, late] = [
      sampleMessage(retried),
      sampleMessage(retried),
      sampleMessage(retried),
    ];
    const parked = sampleMessage(down);
    remember([waiting, inFlight, late], 1);
    remember([parked], 0);
    const at = Date.now() + 36_000_000;
    const owed = [attempted(waiting, 1, { kind: 'retry', at }), deferred(parked, 1, at, 'breaker_open')];
    await service.projection.whenApplied(await append(owed));
    const configure = (...change: Parameters<typeof configured>) =>
      log.producer.append([{ topic: topics.config, ...topics.config.encode(configured(...change)) }]);
    await configure(retried, 7, false);
    await configure(down, 7, false);
    const isReleased = ({ meta }: AcceptedMessage): boolean =>
      released.some((one) => one.meta.id === meta.id);
    // Neither the time of the one nor the breaker that holds the other's lane is waited for.
    await waitFor(() => isReleased(waiting) && isReleased(parked));
    // It failed after the change.
    await append([attempted(inFlight, 1, { kind: 'retry', at })]);
    await waitFor(() => isReleased(inFlight));
    expect(new Set(released.map(({ meta }) => meta.routes[0]?.version))).toEqual(new Set([7]));

    // Switched on again, a retry has its time again.
    await configure(retried, 8, true);
    await service.projection.whenApplied(await append([attempted(late, 1, { kind: 'retry', at: at + 1 })]));
    expect(await dueRows()).toMatchObject([{ delivery: deliveryOf(late), due_at: String(at + 1) }]);
    const over = [waiting, inFlight, parked, late].map((message) => cancelled(message, 2));
    await service.projection.whenApplied(await append(over));
    expect(await dueRows()).toEqual([]);
  });

  it('hands a lane what is parked as it answers, whatever the times say, and after a restart too', async () => {
    const first = await start();
    const endpoint = newId('endpoint');
    const messages = Array.from({ length: 100 }, () => sampleMessage(endpoint));
    const waiting = sampleMessage(endpoint);
    remember([...messages, waiting], 0);
    const until = Date.now() + 3_600_000;
    const answer = (): ReturnType<typeof append> => {
      const byId = new Map(messages.map((message) => [message.meta.id, message]));
      const answered = released.splice(0).map(({ meta }) => byId.get(meta.id));
      return append(
        answered
          .filter((message) => message !== undefined)
          .map((message) => attempted(message, 1, { kind: 'delivered' })),
      );
    };
    await append([
      ...messages.map((message) => deferred(message, 1, until)),
      deferred(waiting, 1, until, 'behind_key'),
    ]);
    await waitFor(() => released.length === 20);
    await answer();
    await waitFor(() => released.length === 40);
    await stop(first);
    running.length = 0;
    expect(await dueRows()).toHaveLength(41);
    released.length = 0;
    await start();
    await waitFor(() => released.length === 20);
    await answer();
    await waitFor(() => released.length === 20);
    // A row goes once the log has what it stood for.
    await waitFor(async () => (await dueRows()).length === 1);
    expect(await dueRows()).toMatchObject([{ delivery: deliveryOf(waiting), parked: false }]);
    await append([attempted(waiting, 1, { kind: 'delivered' })]);
    await waitFor(async () => (await dueRows()).length === 0);
  }, 30_000);

  it('takes an attempt out of the index when its delivery is settled before', async () => {
    const { service } = await start();
    const message = sampleMessage();
    const at = Date.now() + 3_600_000;
    await service.projection.whenApplied(await append([attempted(message, 1, { kind: 'retry', at })]));
    expect(await dueRows()).toHaveLength(1);
    await service.projection.whenApplied(await append([attempted(message, 2, { kind: 'delivered' })]));
    expect(await dueRows()).toEqual([]);
  });

  it('hands each attempt over once with two schedulers, while one of them comes and goes', async () => {
    await start();
    const messages = Array.from({ length: 400 }, () => sampleMessage());
    remember(messages);
    const due = (batch: AcceptedMessage[]): DeliveryEvent[] =>
      batch.map((message, i) => deferred(message, 2, Date.now() + i));
    await append(due(messages.slice(0, 200)));
    const second = await start();
    await append(due(messages.slice(200)));
    running.splice(running.indexOf(second), 1);
    await stop(second);
    await waitFor(() => released.length >= 400);
    await waitFor(async () => (await dueRows()).length === 0);
    expect(new Set(released.map(({ meta }) => meta.id)).size).toBe(400);
    expect(released).toHaveLength(400);
  }, 30_000);

  it('has the same rows again when its schema is dropped and read anew from the log', async () => {
    const one = await start();
    const messages = Array.from({ length: 40 }, () => sampleMessage());
    const at = Date.now() + 3_600_000;
    const events = messages.flatMap((message, i): DeliveryEvent[] => [
      attempted(message, 1, { kind: 'retry', at: at + i }),
      ...(i % 2 === 0 ? [deferred(message, 2, at + 1_000 + i, 'window_full')] : []),
      ...(i % 5 === 0 ? [attempted(message, 2, { kind: 'delivered' })] : []),
    ]);
    await one.service.projection.whenApplied(await append(events));
    const before = { rows: await dueRows(), positions: await positions() };
    expect(before.rows).toHaveLength(32);
    await stop(one);
    running.length = 0;
    await database.query('drop schema schedule cascade');
    await start();
    // What was released long ago is in the log too: the index holds it until history says that it is settled.
    const rows = (await dueRows()).filter(({ due_at }) => Number(due_at) >= at);
    expect({ rows, positions: await positions() }).toEqual(before);
  });

  it('rebuilds the index beside the live one when its operator asks', async () => {
    const { service, health } = await start();
    const message = sampleMessage();
    const at = Date.now() + 3_600_000;
    await service.projection.whenApplied(await append([attempted(message, 1, { kind: 'retry', at })]));
    const owed = async () =>
      (await dueRows()).filter(
        ({ delivery, due_at }) => delivery === deliveryOf(message) && Number(due_at) === at,
      );
    expect(await owed()).toHaveLength(1);
    await database.query('delete from schedule.due where delivery = $1', [deliveryOf(message)]);
    const route = health.routes.get('/rebuild');
    expect(await route?.('POST')).toMatchObject({ status: 202, body: { status: 'running' } });
    const isOver = async (): Promise<boolean> =>
      ((await route?.('GET'))?.body as { status: string }).status !== 'running';
    await waitFor(isOver, { what: 'the end of the rebuild', deadlineMs: 20_000 });
    expect(await route?.('GET')).toMatchObject({
      status: 200,
      body: { status: 'completed', obstacle: null },
    });
    expect(await owed()).toHaveLength(1);
    // And it goes on from there.
    await service.projection.whenApplied(await append([cancelled(message, 2)]));
    expect(await owed()).toEqual([]);
  });

  it('moves on behind records it cannot read', async () => {
    const { service } = await start();
    const message = sampleMessage();
    const { meta } = message;
    await log.producer.append([
      { topic: topics.deliveries, key: meta.account, value: Buffer.from('{"type":') },
    ]);
    const at = Date.now() + 3_600_000;
    await service.projection.whenApplied(await append([attempted(message, 1, { kind: 'retry', at })]));
    expect((await dueRows()).map(({ delivery }) => delivery)).toContain(deliveryOf(message));
  });
});
