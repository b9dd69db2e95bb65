import { randomUUID } from 'node:crypto';
import type { GuardedClient } from '@posthaste/egress';
import type { Logger } from '@posthaste/runtime';
import type { Vault } from '@posthaste/vault';
import pg from 'pg';
import { MONITORING_CHANNEL } from '../../usage/monitoring.js';
import type { EventPublisher } from './event-publisher.js';
import { type ReaderParts, SourceReader } from './source-reader.js';
import { giveBack, LEASE_MS, renewLeases, type TakenSource, takeSources } from './stream-rows.js';

/**
 * Keeps one connection open to the source of every monitored account, whatever the number of replicas. Each replica
 * runs a keeper; a source is a keeper's while it holds the lease in PostgreSQL.
 *
 *   resting --(notification of a change, or 2 s)--> sweeping --> resting
 *
 * A sweep renews what is ours, closes what is no longer wanted or has changed, and takes all that nobody holds. A keeper
 * that is killed is succeeded when its leases end, 8 s later at most, and everything it read is read 15 s later; one that stops gives them back. One that cannot
 * reach PostgreSQL closes its connections before its leases end there, measured from before it last asked.
 */
export interface KeeperParts {
  owner: string;
  databaseUrl: string;
  pool: pg.Pool;
  client: GuardedClient;
  vault: Vault;
  publisher: EventPublisher;
  logger: Logger;
  /** What else to do in a sweep. */
  onSweep: () => Promise<void>;
}

const SWEEP_MS = 2_000;
/** Sources one process reads; further ones wait for another replica. What a successor takes over within 15 s. */
const MOST = 1_000;
/** Handshakes are work: all there may be are begun in 2 s, after a lease of 8 s and at most 2 s until a sweep. */
const OPEN_EVERY_MS = 2;

export function newOwner(): string {
  return randomUUID();
}

export class SourceKeeper {
  private readonly readers = new Map<string, SourceReader>();
  private readonly retiring = new Map<string, Promise<void>>();
  private listener: pg.Client | undefined;
  private isStopping = false;
  private isWoken = false;
  private rouse: () => void = () => undefined;
  private running: Promise<void> = Promise.resolve();
  private leasedUntil = 0;
  private expiry: NodeJS.Timeout | undefined;

  constructor(private readonly parts: KeeperParts) {}

  start(): void {
    this.running = this.loop();
  }

  /** Closes every connection, lets what is being published finish, and gives the leases back. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.rouse();
    await this.running;
    clearTimeout(this.expiry);
    await this.listener?.end().catch(() => undefined);
    for (const account of this.readers.keys()) this.retire(account);
    await Promise.all(this.retiring.values());
  }

  private async loop(): Promise<void> {
    while (!this.isStopping) {
      this.isWoken = false;
      try {
        await this.listen();
        await this.sweep();
      } catch (error) {
        this.parts.logger.warn({ err: error }, 'source.sweep_failed');
      }
      await this.rest();
    }
  }

  private async sweep(): Promise<void> {
    const { pool, owner, onSweep } = this.parts;
    await onSweep();
    const askedAt = performance.now();
    const kept = new Map((await renewLeases(pool, owner)).map((renewed) => [renewed.account, renewed]));
    this.holdUntil(askedAt + LEASE_MS);
    for (const [account, reader] of this.readers) {
      const { version, wantsSync = false } = kept.get(account) ?? {};
      if (version !== reader.source.version) this.retire(account);
      else if (wantsSync) reader.wantSync();
    }
    // What ended by itself, and what an answer that was lost on its way had given us.
    for (const account of kept.keys()) if (!this.readers.has(account)) this.retire(account);
    const room = MOST - this.readers.size;
    if (room <= 0 || this.isStopping) return;
    const taken = await takeSources(pool, owner, room);
    for (const [i, source] of taken.entries()) this.read(source, i * OPEN_EVERY_MS);
  }

  private read(source: TakenSource, delayMs: number): void {
    const { pool, client, vault, publisher, owner, logger } = this.parts;
    const parts: ReaderParts = { owner, pool, client, vault, publisher, logger, random: Math.random };
    const reader = new SourceReader(source, parts, delayMs);
    this.readers.set(source.account, reader);
    void reader.ended.then(() => {
      if (this.readers.get(source.account) === reader) this.readers.delete(source.account);
    });
  }

  /** Closes the connection and gives the lease back, without holding up the leases of others. */
  private retire(account: string): void {
    if (this.retiring.has(account)) return;
    const reader = this.readers.get(account);
    reader?.close();
    const retired = (async () => {
      await reader?.ended;
      await giveBack(this.parts.pool, this.parts.owner, account);
    })()
      .catch((error: unknown) => this.parts.logger.warn({ err: error }, 'source.lease_not_given_back'))
      .finally(() => {
        this.retiring.delete(account);
        this.wake();
      });
    this.retiring.set(account, retired);
  }

  private wake(): void {
    this.isWoken = true;
    this.rouse();
  }

  /** Unless renewed in time, everything is closed: by then another may read it. */
  private holdUntil(at: number): void {
    this.leasedUntil = at;
    clearTimeout(this.expiry);
    this.expiry = setTimeout(
      () => {
        if (performance.now() < this.leasedUntil) return this.holdUntil(this.leasedUntil);
        for (const reader of this.readers.values()) reader.close();
      },
      Math.max(0, at - performance.now()),
    );
  }

  private async listen(): Promise<void> {
    if (this.listener) return;
    const listener = new pg.Client({
      connectionString: this.parts.databaseUrl,
      application_name: 'management-api sources',
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    });
    const drop = (): void => {
      if (this.listener === listener) this.listener = undefined;
      void listener.end().catch(() => undefined);
    };
    listener.on('error', drop).on('end', drop);
    listener.on('notification', () => this.wake());
    try {
      await listener.connect();
      await listener.query(`listen ${MONITORING_CHANNEL}`);
    } catch (error) {
      drop();
      throw error;
    }
    this.listener = listener;
  }

  private async rest(): Promise<void> {
    if (this.isStopping || this.isWoken) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, SWEEP_MS);
      this.rouse = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.rouse = () => undefined;
  }
}
