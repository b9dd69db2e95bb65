import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ClientGrpcProxy } from '@nestjs/microservices';
import {
  type AcceptedMessage,
  type DeliveryEvent,
  newId,
  SCHEDULE_SERVICE,
  type ScheduleClient,
  scheduleClientTransport,
  topics,
} from '@posthaste/contracts';
import type { ProjectionBatch } from '@posthaste/event-log';
import { createLogger } from '@posthaste/runtime';
import { firstValueFrom } from 'rxjs';
import { dueIndexProjection } from '../due-index/index.js';
import { ParkingLot } from '../parking/parking-lot.js';
import { ReleaseStage } from '../proving/release-stage.js';
import { releaseDue, releaseParked, type ReleaseParts } from '../release/release-batch.js';
import { attempted, cancelled, deferred, deliveryOf, sampleMessage } from '../sample-facts.js';
import { recallReleased } from './recall-released.js';
import { serveSchedule } from './schedule.grpc.js';
import { listOwedKeys } from './sql/list-owed-keys.js';

const PARTITION = 3;
let stage: ReleaseStage;
let projection: ReturnType<typeof dueIndexProjection>;
let parts: ReleaseParts;
let next: number;
let owedAt: number[];
let endpoint: string;

beforeAll(async () => {
  stage = await ReleaseStage.open();
}, 60_000);
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.reset();
  await stage.pool.query('truncate schedule.position');
  [next, owedAt, endpoint] = [0, [], newId('endpoint')];
  parts = stage.parts({ lot: new ParkingLot() });
  projection = dueIndexProjection(stage.pool, {
    onEvent: (event) => parts.lot.notice(event),
    onOwed: (at) => void owedAt.push(at),
    onParked: () => undefined,
    onUnreadable: (_, reason) => {
      throw new Error(reason);
    },
  });
  await projection.loadPositions([{ topic: 'deliveries', partition: PARTITION }]);
});

/** Messages of one key, and what history knows of them. */
function messagesOf(count: number): AcceptedMessage[] {
  return Array.from({ length: count }, () => {
    const message = sampleMessage(endpoint);
    const [id, message_meta_json] = [deliveryOf(message), JSON.stringify(message.meta)];
    stage.known.set(id, { id, status: 'retrying', attempts: 0, message_meta_json, payload: message.payload });
    return message;
  });
}

const inOrder = <E extends DeliveryEvent>(event: E, position: number, key = 'k', blocks?: true): E => ({
  ...event,
  ordering: { key, position, ...(blocks ? { blocks } : {}) },
});
const behind = (message: AcceptedMessage, position: number, key?: string): DeliveryEvent =>
  inOrder(deferred(message, 1, Date.now() + 3_600_000, 'behind_key'), position, key);

async function happen(...events: DeliveryEvent[]): Promise<void> {
  const records = events.map((event, i) => ({
    ...topics.deliveries.encode(event),
    offset: next + i,
    appendedAt: 0,
  }));
  const batch: ProjectionBatch = {
    ...{ topic: 'deliveries', partition: PARTITION, from: next },
    ...{ records, next: next + events.length },
  };
  next += events.length;
  expect(await projection.apply([batch])).toBe('applied');
}

/** Releases what is due; answers the positions, as they were appended. */
async function release(): Promise<(number | undefined)[]> {
  const before = stage.appended.length;
  while ((await stage.countOf(`not held and not parked and due_at <= ${NOW}`)) > 0) await releaseDue(parts);
  return stage.appended.slice(before).map(({ meta }) => meta.ordering?.position);
}
const NOW = 'floor(extract(epoch from now()) * 1000) + 100';

describe('an ordering key in the index', () => {
  it('keeps what is behind a failed head, however long, and lets a run of it go when the head is through', async () => {
    const messages = messagesOf(40);
    const [head] = messages as [AcceptedMessage];
    await happen(
      inOrder(attempted(head, 1, { kind: 'retry', at: Date.now() + 3_600_000 }), 0),
      ...messages.slice(1).map((message, i) => behind(message, i + 1)),
    );
    expect(await release()).toEqual([]);
    expect(await stage.countOf(`key_state = 'behind'`)).toBe(39);
    await stage.pool.query(`update schedule.due set due_at = 0 where position = 0`);
    expect(await release()).toEqual([0]);
    expect(stage.appended.at(-1)?.meta.ordering).toEqual({ position: 0, asOf: 40 });
    // On its way: those behind it wait for what becomes of it.
    expect(await release()).toEqual([]);
    await happen(inOrder(attempted(head, 2, { kind: 'delivered' }), 0));
    expect(owedAt.at(-1)).toBeLessThanOrEqual(Date.now() + 1_000);
    // Of the run of 32 as many as its lane's window takes at first; the others wait for the lane.
    expect(await release()).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(await stage.countOf(`key_state = 'first' and parked`)).toBe(12);
    expect(await stage.countOf(`key_state = 'behind'`)).toBe(7);
    const asOf = stage.appended.slice(1).map(({ meta }) => meta.ordering?.asOf);
    expect(asOf).toEqual([41, ...Array.from({ length: 19 }, () => 0)]);
  });

  it('retries alone what fails, and takes back what was let go with it', async () => {
    const messages = messagesOf(3);
    const [first, second, third] = messages as [AcceptedMessage, AcceptedMessage, AcceptedMessage];
    await happen(...messages.map((message, i) => behind(message, i)));
    expect(await release()).toEqual([0, 1, 2]);
    await happen(
      inOrder(attempted(first, 1, { kind: 'retry', at: Date.now() + 3_600_000 }), 0),
      behind(second, 1),
      behind(third, 2),
    );
    expect(await release()).toEqual([]);
    await happen(inOrder(attempted(first, 2, { kind: 'exhausted' }), 0));
    expect(await release()).toEqual([1, 2]);
  });

  it('is blocked by an exhausted delivery that blocks, until it is cancelled; other keys are not', async () => {
    const [head, follower, other] = messagesOf(3) as [AcceptedMessage, AcceptedMessage, AcceptedMessage];
    await happen(
      inOrder(attempted(head, 1, { kind: 'exhausted' }), 0, 'k', true),
      behind(follower, 1),
      behind(other, 2, 'other'),
    );
    expect(await release()).toEqual([2]);
    await happen(cancelled(head, 2));
    expect(await release()).toEqual([1]);
    expect(stage.appended.at(-1)?.meta.ordering?.asOf).toBe(4);
  });

  it('lets none go before one that is held by another replica, or that history does not know', async () => {
    const messages = messagesOf(4);
    const [, held, , unknown] = messages as [
      AcceptedMessage,
      AcceptedMessage,
      AcceptedMessage,
      AcceptedMessage,
    ];
    await happen(...messages.map((message, i) => behind(message, i)));
    const replica = await stage.pool.connect();
    await replica.query('begin');
    await replica.query('select from schedule.due where delivery = $1 for update', [deliveryOf(held)]);
    await stage.pool.query('update schedule.due set due_at = 0 where position <> 1');
    await releaseDue(parts);
    expect(stage.appended.map(({ meta }) => meta.ordering?.position)).toEqual([0]);
    await replica.query('rollback');
    replica.release();
    const facts = stage.known.get(deliveryOf(unknown));
    stage.known.delete(deliveryOf(unknown));
    const [last] = messagesOf(1) as [AcceptedMessage];
    await happen(behind(last, 4));
    await stage.pool.query(`update schedule.due set due_at = 0 where key_state = 'first'`);
    await releaseDue(parts);
    expect(stage.appended.map(({ meta }) => meta.ordering?.position)).toEqual([0, 1, 2]);
    if (facts) stage.known.set(facts.id, facts);
    await stage.pool.query(`update schedule.due set due_at = 0 where key_state = 'first'`);
    await releaseDue(parts);
    expect(stage.appended.map(({ meta }) => meta.ordering?.position)).toEqual([0, 1, 2, 3, 4]);
  });

  it('is parked by position too: ids of one millisecond are in no order', async () => {
    const messages = messagesOf(30);
    await happen(...messages.map((message, i) => inOrder(deferred(message, 1, Date.now(), 'lane_full'), i)));
    parts.lot.park([endpoint]);
    await releaseParked(parts);
    const positions = stage.appended.map(({ meta }) => meta.ordering?.position);
    expect(positions.length).toBeGreaterThan(1);
    expect(positions).toEqual(positions.map((_, i) => i));
    expect(positions.length).toBeLessThan(30);
  });

  it('goes on when history says that its first delivery is over', async () => {
    const [head, follower] = messagesOf(2) as [AcceptedMessage, AcceptedMessage];
    await happen(inOrder(attempted(head, 1, { kind: 'retry', at: 0 }), 0), behind(follower, 1));
    Object.assign(stage.known.get(deliveryOf(head)) ?? {}, { status: 'delivered' });
    expect(await release()).toEqual([1]);
  });

  it('is let go once more when what was handed over is never answered', async () => {
    const [head, follower] = messagesOf(2) as [AcceptedMessage, AcceptedMessage];
    await happen(inOrder(attempted(head, 1, { kind: 'retry', at: 0 }), 0), behind(follower, 1));
    expect(await release()).toEqual([0]);
    expect(await recallReleased(stage.pool)).toBe(0);
    await stage.pool.query(
      `update schedule.due set due_at = due_at - 16 * 60000 where key_state = 'released'`,
    );
    expect(await recallReleased(stage.pool)).toBe(1);
    expect(await release()).toEqual([0]);
  });

  it('that no longer orders frees what waited behind it', async () => {
    const [head, follower] = messagesOf(2) as [AcceptedMessage, AcceptedMessage];
    await happen(
      inOrder(attempted(head, 1, { kind: 'retry', at: Date.now() + 3_600_000 }), 0),
      behind(follower, 1),
    );
    await happen(attempted(head, 2, { kind: 'retry', at: Date.now() + 3_600_000 }));
    expect(await release()).toEqual([1]);
  });
});

describe('what is owed to the keys of a partition', () => {
  it('is told with the first and the last position, and as of where', async () => {
    expect(await listOwedKeys(stage.pool, PARTITION)).toEqual({ keys: [], asOf: 0 });
    const messages = messagesOf(4);
    await happen(...messages.map((message, i) => behind(message, i * 10, i < 3 ? 'k' : 'l')));
    await release();
    expect(await listOwedKeys(stage.pool, PARTITION)).toEqual({
      keys: expect.arrayContaining([
        { endpoint, ordering_key: 'k', first: 0, last: 20 },
        { endpoint, ordering_key: 'l', first: 30, last: 30 },
      ]) as unknown,
      asOf: 4,
    });
    expect(await listOwedKeys(stage.pool, PARTITION + 1)).toEqual({ keys: [], asOf: 0 });
  });

  it('is served by gRPC, and not before the index has come as far as the caller knows', async () => {
    const { logger } = createLogger('ordering-spec', 'silent');
    const { positions } = projection;
    const grpc = await serveSchedule('127.0.0.1:0', { pool: stage.pool, positions, logger });
    const proxy = new ClientGrpcProxy(scheduleClientTransport(`127.0.0.1:${grpc.port}`));
    try {
      const schedule = proxy.getService<ScheduleClient>(SCHEDULE_SERVICE);
      const [message] = messagesOf(1) as [AcceptedMessage];
      let isAnswered = false;
      const asking = firstValueFrom(schedule.listOwedKeys({ partition: PARTITION, at_least: 1 }));
      void asking.then(() => (isAnswered = true));
      expect(await firstValueFrom(schedule.listOwedKeys({ partition: 5, at_least: 0 }))).toMatchObject({
        data: [],
      });
      expect(isAnswered).toBe(false);
      await happen(behind(message, 7));
      const data = [{ endpoint, ordering_key: 'k', first: 7, last: 7 }];
      expect(await asking).toEqual({ data, as_of: 1 });
    } finally {
      proxy.close();
      grpc.close();
    }
  });
});
