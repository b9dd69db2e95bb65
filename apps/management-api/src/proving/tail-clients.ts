import { expect } from '@jest/globals';
import { newId, topics } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import { createLogger } from '@posthaste/runtime';
import { type SeededRandom, seededRandom, waitFor } from '@posthaste/test-kit';
import type { DataSource } from 'typeorm';
import { type Place, placeOf } from '../tail/place.js';
import { Tail, type TailLimits } from '../tail/tail.js';
import type { TailSink } from '../tail/tail-follower.js';
import { answered, attemptAt, refused } from './attempt-facts.js';

const { logger } = createLogger('tail-spec', 'silent');
const WAIT = { everyMs: 5, deadlineMs: 60_000 };
const TENANTS = [newId('tenant'), newId('tenant')];
const ACCOUNTS = Array.from({ length: 6 }, (_, i) => ({
  id: newId('account'),
  tenant: TENANTS[i % 2] ?? '',
}));

interface Written {
  id: string;
  account: string;
  tenant: string;
}

/** Deliveries of two tenants: attempts, and what is none. */
class Traffic {
  readonly written: Written[] = [];

  constructor(private readonly log: EventLog) {}

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
  /** Its stream may end and its connection break at once: it comes again once, as an EventSource does. */
  private connections = 0;

  constructor(
    private readonly tail: Tail,
    readonly tenant: string,
    place: Place | null,
    private readonly isSlow: () => boolean,
  ) {
    this.place = place;
  }

  async connect(): Promise<void> {
    const connection = ++this.connections;
    const opening = await this.tail.opening(this.place);
    if (connection !== this.connections) return;
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
    this.connections++;
    this.following?.close();
  }
}

/** How much happens while the tail is followed, and what else. */
interface TailScenario {
  log: EventLog;
  limits: TailLimits;
  steps: number;
  /** A client comes every so many steps; every other one is slow. */
  comeEvery: number;
  disturb?: (random: SeededRandom) => void;
}

/**
 * Clients that come at any time and from any place, are slow, and whose connections break: each must have got every
 * attempt of its tenant after its place once, those of an account in order. Answers why streams were ended.
 */
export async function followTraffic({ log, limits, ...scenario }: TailScenario): Promise<string[]> {
  const random = seededRandom();
  await log.admin.ensureTopics([topics.deliveries], 'single');
  const tail = new Tail(log, {} as DataSource, logger, { lingerMs: 5, placeEveryMs: 3, ...limits });
  try {
    return await follow(tail, new Traffic(log), random, scenario);
  } catch (error) {
    throw new Error(`seed ${random.seed}`, { cause: error });
  } finally {
    await tail.stop();
  }
}

async function follow(
  tail: Tail,
  traffic: Traffic,
  random: SeededRandom,
  { steps, comeEvery, disturb }: Pick<TailScenario, 'steps' | 'comeEvery' | 'disturb'>,
): Promise<string[]> {
  const clients: { client: Client; from: number }[] = [];
  const origin = await tail.opening(null);
  if (origin.kind === 'expired') throw new Error('now is a place');
  for (let step = 0; step < steps; step++) {
    for (let n = random.below(6); n > 0; n--) await traffic.write(random);
    if (step % comeEvery === 0) {
      const isSlow = step % (2 * comeEvery) === 0;
      const place = random.below(2) === 0 ? structuredClone(origin.place) : null;
      const tenant = TENANTS[random.below(2)] ?? '';
      const client = new Client(tail, tenant, place, () => isSlow && random.below(2) === 0);
      const from = place ? 0 : traffic.written.length;
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
    disturb?.(random);
    if (random.below(3) === 0) await new Promise(setImmediate);
  }
  for (const { client, from } of clients) await expectAll(client, traffic.written.slice(from));
  return clients.flatMap(({ client }) => client.ends);
}

async function expectAll(client: Client, written: Written[]): Promise<void> {
  const wanted = written.filter(({ tenant }) => tenant === client.tenant);
  await waitFor(() => client.got.length >= wanted.length, { what: `${wanted.length} attempts`, ...WAIT });
  for (const { id } of ACCOUNTS) {
    const ofAccount = wanted.filter(({ account }) => account === id).map((one) => one.id);
    expect(client.got.filter((one) => ofAccount.includes(one))).toEqual(ofAccount);
  }
  expect(client.got).toHaveLength(wanted.length);
  client.leave();
}
