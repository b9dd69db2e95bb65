import {
  type AcceptedMessage,
  type DeliveryAttempted,
  type DeliveryDeferred,
  type DeliveryEvent,
  type DueDelivery,
  type DueDeliveryPayload,
  topics,
} from '@posthaste/contracts';
import type { OutgoingRecord, Position } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, inTransaction, migrate } from '@posthaste/runtime';
import type pg from 'pg';
import { dueIndexMigrations, scheduleSettings } from '../due-index/index.js';
import type { OwedAttempt } from '../due-index/owed-attempt.js';
import { upsertOwed } from '../due-index/sql/upsert-owed.js';
import { ParkingLot } from '../parking/parking-lot.js';
import type { ReleaseParts } from '../release/release-batch.js';
import { attempted, deferred, deliveryOf, endpointOf, sampleMessage } from '../sample-facts.js';

export interface Owing {
  attempt?: number;
  dueInMs?: number;
  reason?: OwedAttempt['reason'];
  trigger?: OwedAttempt['trigger'];
  status?: string;
  attempts?: number;
  isKnown?: boolean;
}

/** Releases on a real PostgreSQL: what history knows is said by the test, and what the log is given is kept. */
export class ReleaseStage {
  known = new Map<string, DueDeliveryPayload>();
  appended: DueDelivery[] = [];
  asked: string[][] = [];

  private constructor(
    readonly pool: pg.Pool,
    private readonly postgres: TemporaryPostgres,
  ) {}

  static async open(): Promise<ReleaseStage> {
    const postgres = await startTemporaryPostgres('release');
    await migrate(postgres.url, 'schedule', dueIndexMigrations);
    const pool = createPool({
      url: postgres.url,
      name: 'spec',
      max: 8,
      logger: createLogger('release-spec', 'silent').logger,
      settings: scheduleSettings,
    });
    return new ReleaseStage(pool, postgres);
  }

  async close(): Promise<void> {
    await this.pool.end();
    await this.postgres.remove();
  }

  async reset(): Promise<void> {
    this.known = new Map();
    this.appended = [];
    this.asked = [];
    await this.pool.query('truncate schedule.due');
  }

  parts(over: Partial<ReleaseParts> = {}): ReleaseParts {
    return {
      pool: this.pool,
      producer: {
        append: async (records: OutgoingRecord[]): Promise<Position[]> => {
          for (const record of records) this.appended.push(topics.due.decode(record));
          return [];
        },
      },
      payloads: async (deliveries) => {
        this.asked.push(deliveries);
        return deliveries.map((delivery) => this.known.get(delivery)).filter((entry) => entry !== undefined);
      },
      lot: new ParkingLot(),
      versionOf: () => 0,
      ...over,
    };
  }

  /** Puts the delivery of the message into the index, and its message into history. */
  async owe(messages: AcceptedMessage[], owing: Owing = {}): Promise<void> {
    const { attempt = 2, dueInMs = -1_000, reason = null, trigger = 'retry' } = owing;
    const { status = 'retrying', attempts = 1, isKnown = true } = owing;
    const rows = messages.map((message) => ({
      delivery: deliveryOf(message),
      message: message.meta.id,
      tenant: message.meta.tenant,
      account: message.meta.account,
      endpoint: endpointOf(message),
      attempt,
      dueAt: Date.now() + dueInMs,
      trigger,
      reason,
      ordering: null,
    }));
    await inTransaction(this.pool, (client) => upsertOwed(client, rows));
    for (const message of isKnown ? messages : []) {
      const id = deliveryOf(message);
      const message_meta_json = JSON.stringify(message.meta);
      this.known.set(id, { id, status, attempts, message_meta_json, payload: message.payload });
    }
  }

  /** Rows of deliveries made up in the database, due for a minute; `everything` is known of them. */
  async fillIndex(count: number, endpoint = 'ep_many', parked = false): Promise<void> {
    await this.pool.query(
      `insert into schedule.due (delivery, message, tenant, account, endpoint, attempt, due_at, trigger, parked)
       select 'dlv_' || $2 || to_char(n, 'FM0000000'), 'msg_' || $2 || to_char(n, 'FM0000000'), 't', 'a', $2, 2,
         floor(extract(epoch from now()) * 1000)::bigint - 60000 - n % 1000, 'retry', $3
       from generate_series(1, $1::int) n`,
      [count, endpoint, parked],
    );
  }

  readonly everything = everythingKnown;

  async indexed(where = 'true'): Promise<string[]> {
    const { rows } = await this.pool.query<{ delivery: string }>(
      `select delivery from schedule.due where ${where} order by 1`,
    );
    return rows.map((row) => row.delivery);
  }

  async countOf(where: string): Promise<number> {
    const { rows } = await this.pool.query<{ n: number }>(
      `select count(*)::int as n from schedule.due where ${where}`,
    );
    return rows[0]?.n ?? -1;
  }

  /** The pool, but its connections are ended by the server when they are about to commit. */
  dyingAtCommit(): pg.Pool {
    const connect = async (): Promise<pg.PoolClient> => {
      const client = await this.pool.connect();
      client.on('error', () => undefined);
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
      const query = async (...args: unknown[]): Promise<unknown> => {
        if (args[0] === 'commit')
          await this.pool.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
        return Reflect.apply(client.query.bind(client), client, args) as Promise<unknown>;
      };
      return withOwn(client, { query });
    };
    return withOwn(this.pool, { connect });
  }

  released(): string[] {
    return this.appended.map(({ meta }) => `${meta.id}/${meta.attempt}`).sort();
  }
}

const sample = sampleMessage();
const sampleMeta = sample.meta;

/** A history that knows every delivery it is asked for, if its message has the same id but for the prefix. */
export const everythingKnown: ReleaseParts['payloads'] = async (deliveries) =>
  deliveries.map((id) => {
    const message_meta_json = JSON.stringify({ ...sampleMeta, id: id.replace('dlv', 'msg') });
    return { id, status: 'retrying', attempts: 1, message_meta_json, payload: Buffer.from('{}') };
  });

/** What a dispatcher reports of a delivery that was made up by `fillIndex`. */
export function answerTo({ meta }: DueDelivery, decision: DeliveryAttempted['decision']): DeliveryAttempted {
  return { ...attempted(sample, meta.attempt, decision), ...madeUp(meta) };
}

export function turnedAway(
  { meta }: DueDelivery,
  reason: DeliveryDeferred['reason'],
  forMs = 5_000,
): DeliveryDeferred {
  return { ...deferred(sample, meta.attempt, Date.now() + forMs, reason), ...madeUp(meta) };
}

function madeUp({
  id,
  routes,
}: DueDelivery['meta']): Pick<DeliveryEvent, 'delivery' | 'message' | 'endpoint'> {
  return { delivery: id.replace('msg', 'dlv'), message: id, endpoint: routes[0]?.endpoint ?? '' };
}

/** The object with some methods in place of its own. */
function withOwn<T extends object>(whole: T, own: Record<string, unknown>): T {
  return new Proxy(whole, {
    get: (target, name) => {
      if (typeof name === 'string' && name in own) return own[name];
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
