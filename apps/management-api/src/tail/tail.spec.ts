import { describe, expect, it } from '@jest/globals';
import { newId, topics } from '@posthaste/contracts';
import { MemoryBroker, MemoryEventLog } from '@posthaste/event-log';
import { createLogger } from '@posthaste/runtime';
import { type SeededRandom, seededRandom, waitFor } from '@posthaste/test-kit';
import type { DataSource } from 'typeorm';
import { answered, attemptAt, refused } from '../proving/attempt-facts.js';
import { type Place, placeOf, placeText } from './place.js';
import { Tail, type TailLimits } from './tail.js';
import type { TailSink } from './tail-follower.js';

const { logger } = createLogger('tail-spec', 'silent');
const TENANTS = [newId('tenant'), newId('tenant')];
const ACCOUNTS = Array.from({ length: 6 }, (_, i) => ({
  id: newId('account'),
  tenant: TENANTS[i % 2] ?? '',
}));
const WAIT = { everyMs: 5, deadlineMs: 20_000 };

interface Written {
  id: string;
  account: string;
  tenant: string;
}

/** Deliveries of two tenants in a log in memory: attempts, and what is none. */
class Traffic {
  readonly broker = new MemoryBroker();
  readonly log = new MemoryEventLog({ broker: this.broker });
  readonly written: Written[] = [];

  async start(): Promise<void> {
    await this.log.admin.ensureTopics([topics.deliveries], 'single');
  }

  async write(random: SeededRandom): Promise<void> {
    const { id: account, tenant } = ACCOUNTS[random.below(ACCOUNTS.length)] ?? { id: '', tenant: '' };
    const endpoint = newId('endpoint');
    const of = {
      id: endpoint,
      account_id: account,
      url: 'https://r.example/',
      retry_policy: { preset: 'ada' as const },
      tenant,
    };
    const attempt = attemptAt(Date.now(), of, random.below(3) === 0 ? refused : answered);
    const { delivery, message, eventType, acceptedAt, trigger } = attempt;
    const key = { delivery, message, tenant, account, endpoint, eventType, acceptedAt, attempt: 1, trigger };
    const other = random.below(3) === 0;
    await this.log.producer.append([
      {
        topic: topics.deliveries,
        ...topics.deliveries.encode(
          other ? { type: 'DeliveryCancelled', v: 1, ...key, at: Date.now(), reason: 'requested' } : attempt,
        ),
      },
    ]);
    if (!other) this.written.push({ id: attempt.id, account, tenant });
  }
}

/** One client: what it got, and the place of the last event. It comes again when its stream ends, as an EventSource does. */
class Client {
  readonly got: string[] = [];
  readonly ends: string[] = [];
  place: Place | null;
  private following: { close(): void } | undefined;

  constructor(
    private readonly tail: Tail,
    readonly tenant: string,
    place: Place | null,
    private readonly isSlow: () => boolean,
  ) {
    this.place = place;
  }

  async connect(): Promise<void> {
    const opening = await this.tail.opening(this.place);
    if (opening.kind === 'expired') throw new Error('expired');
    let isOver = false;
    const sink: TailSink = {
      send: (frame) => {
        if (isOver) return undefined;
        const {
          id = '',
          event,
          data = '',
        } = /id: (?<id>.*)\nevent: (?<event>.*)\ndata: (?<data>.*)\n/.exec(frame.toString())?.groups ?? {};
        this.place = placeOf(id);
        if (event === 'message') this.got.push((JSON.parse(data) as { id: string }).id);
        return this.isSlow() ? new Promise((resolve) => void setImmediate(resolve)) : undefined;
      },
      end: (comment) => {
        isOver = true;
        this.ends.push(comment);
        this.following?.close();
        void this.connect();
      },
    };
    const wanted = { tenant: this.tenant, account: null, endpoint: null };
    this.following = this.tail.follow(opening, wanted, sink, 'key_1');
  }

  leave(): void {
    this.following?.close();
  }
}

async function withTail(
  limits: TailLimits,
  run: (parts: { tail: Tail; traffic: Traffic; random: SeededRandom }) => Promise<void>,
): Promise<void> {
  const random = seededRandom();
  const traffic = new Traffic();
  await traffic.start();
  const tail = new Tail(traffic.log, {} as DataSource, logger, { lingerMs: 5, placeEveryMs: 3, ...limits });
  try {
    await run({ tail, traffic, random });
  } catch (error) {
    throw new Error(`seed ${random.seed}`, { cause: error });
  } finally {
    await tail.stop();
    await traffic.log.close();
  }
}

describe('the tail', () => {
  it.each<TailLimits>([{}, { keptBytes: 6_000, stalledMs: 20 }])(
    'gives everybody every attempt after their place, each account in order, whoever comes, goes and is slow: %p',
    async (limits) => {
      await withTail(limits, async ({ tail, traffic, random }) => {
        const clients: { client: Client; from: number }[] = [];
        for (let step = 0; step < 150; step++) {
          for (let n = random.below(6); n > 0; n--) await traffic.write(random);
          if (step % 8 === 0) {
            const slow = step % 16 === 0;
            const zero = random.below(2) === 0;
            const place = zero ? { atMs: Date.now(), next: [0, 0, 0, 0, 0, 0] } : null;
            const client = new Client(
              tail,
              TENANTS[random.below(2)] ?? '',
              place,
              () => slow && random.below(2) === 0,
            );
            const from = zero ? 0 : traffic.written.length;
            await client.connect();
            if (random.below(5) === 0) setImmediate(() => client.leave());
            else clients.push({ client, from });
          }
          const [back] = clients.slice(random.below(clients.length + 1));
          // Its connection breaks, and it comes again.
          if (back && random.below(6) === 0) {
            back.client.leave();
            await back.client.connect();
          }
          if (random.below(20) === 0) traffic.broker.duplicateFetches(2);
          if (random.below(3) === 0) await new Promise(setImmediate);
        }
        for (const { client, from } of clients) {
          const wanted = traffic.written.slice(from).filter(({ tenant }) => tenant === client.tenant);
          await waitFor(() => client.got.length >= wanted.length, {
            what: `${wanted.length} attempts`,
            ...WAIT,
          });
          for (const { id } of ACCOUNTS) {
            const ofAccount = wanted.filter(({ account }) => account === id).map((one) => one.id);
            expect(client.got.filter((one) => ofAccount.includes(one))).toEqual(ofAccount);
          }
          expect(client.got).toHaveLength(wanted.length);
          client.leave();
        }
        const isBehind = clients.some(({ client }) => client.ends.includes('behind'));
        expect(isBehind).toBe(limits.keptBytes !== undefined);
      });
    },
    60_000,
  );
});

describe('a place', () => {
  it('is read as it was written, and nothing else is one', () => {
    const place = { atMs: Date.now(), next: [0, 1, 35, 36, 2 ** 53 - 1] };
    expect(placeOf(placeText(place))).toEqual(place);
    for (const text of ['', '1', '1.', 'x.-1', `1.${'z'.repeat(11)}`, '1.2.A'])
      expect(placeOf(text)).toBeNull();
  });
});
