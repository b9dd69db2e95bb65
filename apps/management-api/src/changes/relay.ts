import { topics } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import type { Logger } from '@posthaste/runtime';
import pg from 'pg';

/**
 * Carries the outbox to the log.
 *
 * Promises: what a change committed is appended, at least once, and the versions of one entity in their order. Any
 * number of replicas may run a relay; one works at a time, because two would interleave and could append a version
 * after its successor, which a compacted topic would then keep.
 *
 *   idle --(notification, or 1 s)--> relaying --(outbox empty)--> idle
 *                                       |--(log or database down)--> backing off --> relaying
 *
 * relaying holds one transaction per batch: lock, read in id order, append, delete, commit. Killed between append and
 * commit, the rows are still there and are appended again; readers drop versions they have. It has a connection of its
 * own, whose transaction outlives an append that takes its full 10 s: were it cut off, another relay could start while
 * the append is still on its way.
 */
export interface RelayOptions {
  databaseUrl: string;
  log: EventLog;
  logger: Logger;
  /** Rows per transaction. */
  batchRows?: number;
}

const LOCK = 'posthaste config outbox';
const POLL_MS = 1_000;
const BACKOFF_MS = { first: 200, most: 10_000 };
const topicByName = new Map(Object.values(topics).map(({ name }) => [name, { name }]));

interface OutboxRow {
  id: string;
  topic: string;
  key: string;
  value: string;
}

export class OutboxRelay {
  private client: pg.Client | undefined;
  private stopping = false;
  private running: Promise<void> = Promise.resolve();
  private wake: () => void = () => undefined;
  /** A notification that came while relaying is not lost. */
  private woken = false;
  private backoffMs = 0;
  private lastFailure: string | null = 'not started';

  constructor(private readonly options: RelayOptions) {}

  start(): void {
    this.running = this.loop();
  }

  /** Lets the batch at hand finish. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.rouse();
    await this.running;
    await this.client?.end().catch(() => undefined);
  }

  /** Null while it works, else why not. */
  failure(): string | null {
    return this.lastFailure;
  }

  private async loop(): Promise<void> {
    while (!this.stopping) {
      try {
        const moved = await this.relayBatch(await this.connection());
        this.backoffMs = 0;
        this.lastFailure = null;
        if (moved === 0) await this.rest(POLL_MS);
      } catch (error) {
        this.lastFailure = error instanceof Error ? error.message : 'failed';
        this.options.logger.warn({ err: error }, 'outbox.relay_failed');
        this.backoffMs = Math.min(Math.max(this.backoffMs * 2, BACKOFF_MS.first), BACKOFF_MS.most);
        await this.rest(this.backoffMs, false);
      }
    }
  }

  /** Moves one batch and answers how many rows; 0 when there are none or another relay is at it. */
  private async relayBatch(client: pg.Client): Promise<number> {
    const { log, batchRows = 500 } = this.options;
    await client.query('begin');
    try {
      const lock = await client.query<{ mine: boolean }>(
        'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as mine',
        [LOCK],
      );
      const { rows } =
        lock.rows[0]?.mine === true
          ? await client.query<OutboxRow>(
              'select id, topic, key, value from config.outbox order by id limit $1',
              [batchRows],
            )
          : { rows: [] };
      if (rows.length > 0) {
        await log.producer.append(rows.map(toRecord));
        await client.query('delete from config.outbox where id = any($1)', [rows.map(({ id }) => id)]);
      }
      await client.query('commit');
      return rows.length;
    } catch (error) {
      await client.query('rollback').catch(() => this.drop(client));
      throw error;
    }
  }

  private async connection(): Promise<pg.Client> {
    if (this.client) return this.client;
    const client = new pg.Client({
      connectionString: this.options.databaseUrl,
      application_name: 'management-api relay',
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      options: '-c statement_timeout=10s -c idle_in_transaction_session_timeout=60s',
    });
    client.on('error', () => this.drop(client));
    client.on('end', () => this.drop(client));
    client.on('notification', () => this.rouse());
    try {
      await client.connect();
      await client.query('listen config_outbox');
    } catch (error) {
      void client.end().catch(() => undefined);
      throw error;
    }
    this.client = client;
    return client;
  }

  private drop(client: pg.Client): void {
    if (this.client === client) this.client = undefined;
    void client.end().catch(() => undefined);
  }

  private rouse(): void {
    this.woken = true;
    this.wake();
  }

  private async rest(ms: number, untilWoken = true): Promise<void> {
    if (this.stopping || (untilWoken && this.woken)) {
      this.woken = false;
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        if (!untilWoken && !this.stopping) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.woken = false;
    this.wake = () => undefined;
  }
}

function toRecord({ topic, key, value }: OutboxRow) {
  const known = topicByName.get(topic);
  if (!known) throw new Error(`outbox row for an unknown topic ${topic}`);
  return { topic: known, key, value: Buffer.from(value) };
}
