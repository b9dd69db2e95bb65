import { createHash } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AcceptedMessage, deliveryId, type DeliveryEvent, newId, topics } from '@posthaste/contracts';
import { MemoryEventLog, type ProjectionBatch } from '@posthaste/event-log';
import { createLogger, migrate } from '@posthaste/runtime';
import { endOf, forkSource, seededRandom } from '@posthaste/test-kit';
import { getDueDeliveries } from '../history/sql/select-deliveries.js';
import { getMessage, getPayload } from '../history/sql/select-messages.js';
import { attempted, sampleMessage, shadowOf } from '../history/sample-facts.js';
import { type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import type { RetentionChildOrder } from '../proving/retention-child.main.js';
import { Retention } from './retention.js';
import { Retention1796000000002 } from './retention-migration.js';
import { shredPayload } from './shred-payloads.js';
import { followPolicies } from './tenant-policies.js';

const { logger } = createLogger('retention-spec', 'silent');
const DAY = 86_400_000;
const now = Date.now();
const keptMs = 30 * DAY;
const [usual, brief, gone] = [newId('tenant'), newId('tenant'), newId('tenant')];
let bed: HistoryBed;

beforeAll(async () => {
  bed = await startHistoryBed();
  await migrate(bed.url, 'retention', [Retention1796000000002]);
}, 60_000);
afterAll(() => bed.stop());
beforeEach(async () => {
  await bed.pool.query(
    `truncate history.message, history.delivery, history.attempt, history.shadow_attempt, history.requested_attempt,
       history.feed_item, history.feed_head, history.position, history.swept, retention.tenant, retention.shredded`,
  );
});

const retention = (): Retention => new Retention({ logger, keptMs, feedKeptMs: keptMs });

async function sweep(): Promise<void> {
  await retention().shred(bed.pool, now, 0);
  await retention().sweep(bed.pool, now);
}

/** What the configuration says of the three tenants. */
async function setPolicies(): Promise<void> {
  await bed.pool.query(
    `insert into retention.tenant (id, version, kept_days, deleted) values ($1, 1, 5, false), ($2, 1, null, true)`,
    [brief, gone],
  );
}

/** Messages of each tenant on each of the last 40 days, each with a delivery of two attempts. */
async function fill(perDay: number): Promise<void> {
  for (const tenant of [usual, brief, gone]) {
    const messages = Array.from({ length: 40 * perDay }, (_, i) => {
      const at = now - Math.floor(i / perDay) * DAY - 3_600_000;
      const id = newId('message', at);
      return { at, id, delivery: deliveryId(id, 'ep_1') };
    });
    const values = [
      messages.map((m) => m.at),
      messages.map((m) => m.id),
      messages.map((m) => m.delivery),
      tenant,
    ];
    await bed.pool.query(
      `with m as (select * from unnest($1::bigint[], $2::text[], $3::text[]) as m (at, id, delivery)),
       message as (
         insert into history.message (accepted_at, id, tenant, account, event_type, meta, payload)
         select at, id, $4, 'acc_1', 'invoice.paid', '{}', convert_to('payload of ' || id, 'UTF8') from m),
       delivery as (
         insert into history.delivery (id, message, tenant, account, endpoint, event_type, accepted_at, status, attempts)
         select delivery, id, $4, 'acc_1', 'ep_1', 'invoice.paid', at, 'delivered', 2 from m)
       insert into history.attempt (delivery, number, id, tenant, trigger, started_at, duration_ms, endpoint_version,
         profile, outcome, request_url, request_headers, timings, response_body)
       select delivery, number, 'att_' || delivery || number, $4, 'publish', at, 1, 1, 'standard', 'succeeded', 'https://r',
         '{}', '{}', 'answered' from m, generate_series(1, 2) number`,
      values,
    );
  }
}

interface Counts {
  messages: number;
  deliveries: number;
  attempts: number;
  readable: number;
  answers: number;
}

async function countsOf(tenant: string): Promise<Counts> {
  const { rows } = await bed.pool.query<Counts>(
    `select (select count(*)::int from history.message where tenant = $1) as messages,
       (select count(*)::int from history.delivery where tenant = $1) as deliveries,
       (select count(*)::int from history.attempt where tenant = $1) as attempts,
       (select count(*)::int from history.message where tenant = $1 and payload = convert_to('payload of ' || id, 'UTF8'))
         as readable,
       (select count(*)::int from history.attempt where tenant = $1 and response_body = 'answered') as answers`,
    [tenant],
  );
  return rows[0] as Counts;
}

/** What a sweep must leave of `perDay` messages a day. */
async function expectSwept(perDay: number): Promise<void> {
  const left = (days: number): Counts => {
    const messages = days * perDay;
    return {
      messages,
      deliveries: messages,
      attempts: 2 * messages,
      readable: messages,
      answers: 2 * messages,
    };
  };
  expect({
    usual: await countsOf(usual),
    brief: await countsOf(brief),
    gone: await countsOf(gone),
  }).toEqual({ usual: left(30), brief: left(5), gone: { ...left(30), readable: 0, answers: 0 } });
  const { rows } = await bed.pool.query<{ kept: boolean }>(
    `select bool_and(payload_sha256 = encode(sha256(convert_to('payload of ' || id, 'UTF8')), 'hex')
       and payload_bytes = length('payload of ' || id)) as kept from history.message where tenant = $1`,
    [gone],
  );
  expect(rows).toEqual([{ kept: true }]);
}

describe('retention', () => {
  it('keeps what each tenant keeps, and shreds those that are gone; twice is the same', async () => {
    await fill(10);
    await setPolicies();
    await sweep();
    await expectSwept(10);
    await sweep();
    await expectSwept(10);
  }, 30_000);

  it('takes its wishes from the configuration, the latest version, and keeps those of tenants that are forgotten', async () => {
    const log = new MemoryEventLog();
    await log.admin.ensureTopics([topics.config], 'single');
    const tell = (id: string, version: number, more: object): Promise<unknown> => {
      const state = {
        kind: 'tenant' as const,
        id,
        version,
        deleted: false,
        name: 'T',
        dataKeys: [],
        ...more,
      };
      return log.producer.append([{ topic: topics.config, ...topics.config.encode(state) }]);
    };
    await tell(usual, 1, {});
    await tell(brief, 2, { retentionDays: 5 });
    await tell(brief, 1, { retentionDays: 1 });
    await tell(gone, 1, { retentionDays: 7 });
    await tell(gone, 2, { deleted: true });
    const following = await followPolicies(log.reader, bed.pool, (error) => {
      throw error;
    });
    await following.caughtUp;
    await following.close();
    const { rows } = await bed.pool.query(
      'select id, kept_days, deleted from retention.tenant order by version, id',
    );
    expect(rows).toHaveLength(2);
    expect(rows).toEqual(
      expect.arrayContaining([
        { id: brief, kept_days: 5, deleted: false },
        { id: gone, kept_days: null, deleted: true },
      ]),
    );
    await log.close();
  });

  it('survives kill -9 ten times: each takes up what is left, and the counts are right', async () => {
    await fill(120);
    await setPolicies();
    const random = seededRandom();
    const order = { url: bed.url, nowMs: now, keptMs };
    try {
      for (let round = 0; round < 10; round++) {
        const dieAt = round % 2 === 0 ? { batch: 2 + random.below(4) } : { afterMs: random.below(150) };
        expect(await endOf(startChild({ ...order, dieAt }))).toBe('SIGKILL');
        expect(await countsOf(usual)).toMatchObject({ readable: (await countsOf(usual)).messages });
      }
      expect(await endOf(startChild(order))).toBe(0);
      await expectSwept(120);
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  }, 120_000);
});

describe('a payload that is shredded', () => {
  const sample = { tenant: usual, account: newId('account'), endpoint: newId('endpoint'), at: now - 60_000 };

  /** As the log has it; applied again after everything was dropped, it is a history read again. */
  async function project(messages: AcceptedMessage[], events: DeliveryEvent[]): Promise<void> {
    await bed.pool.query(
      'truncate history.message, history.delivery, history.attempt, history.shadow_attempt, history.position',
    );
    const records = [
      ...messages.map((message) => ({ topic: topics.messages.name, ...topics.messages.encode(message) })),
      ...events.map((event) => ({ topic: topics.deliveries.name, ...topics.deliveries.encode(event) })),
    ];
    for (const { name } of [topics.messages, topics.deliveries]) {
      const own = records
        .filter(({ topic }) => topic === name)
        .map((record, offset) => ({ ...record, offset, appendedAt: 0 }));
      const batch: ProjectionBatch = { topic: name, partition: 0, from: 0, next: own.length, records: own };
      await bed.projection.loadPositions([batch]);
      await bed.projection.apply([batch]);
    }
  }

  it('is gone with the answers to it, also when history is read from the log again; what it was stays', async () => {
    const [message, other] = [sampleMessage(sample), sampleMessage(sample)];
    const first = attempted(message, 1, { kind: 'delivered' });
    const events = [first, shadowOf(first), attempted(other, 1, { kind: 'delivered' })];
    await project([message, other], events);
    const { id } = message.meta;
    const shred = () => shredPayload(bed.pool, { tenant: usual, id, by: 'key_1' }, now);
    expect(await shredPayload(bed.pool, { tenant: brief, id, by: 'key_1' }, now)).toEqual({
      found: false,
      open: 0,
    });
    expect(await shred()).toEqual({ found: true, open: 0 });
    expect(await shred()).toEqual({ found: true, open: 0 });
    await expectShredded();

    await project([message, other], events);
    // Before anybody has swept it.
    expect(await getPayload(bed.pool, { tenant: usual, id })).toBeUndefined();
    await retention().shred(bed.pool, now, now);
    await expectShredded();

    async function expectShredded(): Promise<void> {
      expect(await getPayload(bed.pool, { tenant: usual, id })).toBeUndefined();
      expect((await getPayload(bed.pool, { tenant: usual, id: other.meta.id }))?.payload).toEqual(
        other.payload,
      );
      expect(await getMessage(bed.pool, { tenant: usual, id })).toMatchObject({
        id,
        shredded_at: now,
        payload_bytes: message.payload.length,
        deliveries: 1,
      });
      const { rows } = await bed.pool.query<{ everything: string; hash: string }>(
        `select m.payload_sha256 as hash, concat(m.payload, a.response_body, s.event) as everything
         from history.message m join history.delivery d on d.message = m.id
         join history.attempt a on a.delivery = d.id join history.shadow_attempt s on s.delivery = d.id where m.id = $1`,
        [id],
      );
      expect(rows[0]?.hash).toBe(createHash('sha256').update(message.payload).digest('hex'));
      expect(rows[0]?.everything).toContain('"body":""');
      expect(rows[0]?.everything).not.toContain(Buffer.from('ok').toString('hex'));
      const [due] = await getDueDeliveries(bed.pool, [first.delivery]);
      expect(due?.attempts).toBeGreaterThan(1_000_000);
    }
  });

  it('stays while a delivery of it is open', async () => {
    const message = sampleMessage(sample);
    await project([message], [attempted(message, 1, { kind: 'retry', at: now + 60_000 })]);
    const { id } = message.meta;
    expect(await shredPayload(bed.pool, { tenant: usual, id, by: 'key_1' }, now)).toEqual({
      found: true,
      open: 1,
    });
    expect((await getPayload(bed.pool, { tenant: usual, id }))?.payload).toEqual(message.payload);
  });
});

function startChild(order: RetentionChildOrder): ChildProcess {
  return forkSource(path.join(import.meta.dirname, '../proving/retention-child.main.ts'), [
    JSON.stringify(order),
  ]);
}
