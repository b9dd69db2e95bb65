import { type DeliveryEvent, topics } from '@posthaste/contracts';
import type { LogReader, StoredRecord } from '@posthaste/event-log';
import type pg from 'pg';
import { hastenDue } from './sql/hasten-due.js';

/**
 * Endpoints that were disabled or deleted: what is owed to them is handed over at once, so that dispatchers cancel it and
 * people see so now, not when the last retry would have been due. It goes with the version that says so: a dispatcher
 * that does not know it yet must wait, and not send before the time.
 *
 * What is asked for once it is enabled again goes with that version likewise: a dispatcher that does not know it yet
 * would cancel it.
 *
 *   following `config` -> gone (noted) -> hastened | enabled again (noted as back)
 */
export interface GoneEndpointsOptions {
  pool: pg.Pool;
  reader: LogReader;
  /** What is owed to these is due, or parked. */
  onHastened: (endpoints: string[]) => void;
  /** Tried again after a while; what is owed stays as it is until then. */
  onFailure: (error: unknown) => void;
  onUnreadable: (offset: number, error: unknown) => void;
}

/** Changes that come together are one statement; and an event that was noticed is in the index by then. */
const GATHER_MS = 1_000;
/** How late the configuration may come: what is owed is hastened a second later anyway. */
const NEWS_MS = 250;
const RETRY_MS = 5_000;

export class GoneEndpoints {
  /** The versions they are gone at. */
  private readonly versions = new Map<string, number>();
  /** The versions at which those that were gone came back. */
  private readonly back = new Map<string, number>();
  private readonly fresh = new Set<string>();
  private following: { close(): Promise<void> } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private hastening = Promise.resolve();
  private isCaughtUp = false;
  private isStopped = false;

  constructor(private readonly options: GoneEndpointsOptions) {}

  async start(): Promise<void> {
    const take = (record: StoredRecord): void => {
      try {
        this.take(topics.config.decode(record));
      } catch (error) {
        this.options.onUnreadable(record.offset, error);
      }
    };
    const following = await this.options.reader.follow(topics.config, take, NEWS_MS);
    this.following = following;
    await following.caughtUp;
    // What was gone before this process began may have been missed by all that came before it.
    this.isCaughtUp = true;
    this.hastenSoon();
  }

  /** Those that are gone now. */
  get endpoints(): string[] {
    return [...this.versions.keys()];
  }

  /** The least version of the endpoint's configuration a dispatcher must know; 0: any will do. */
  readonly versionOf = (endpoint: string): number =>
    this.versions.get(endpoint) ?? this.back.get(endpoint) ?? 0;

  /** What was in flight when its endpoint went may still fail, and be owed again. */
  notice({ type, endpoint }: DeliveryEvent): void {
    if (type === 'DeliveryCancelled' || !this.versions.has(endpoint)) return;
    this.fresh.add(endpoint);
    this.hastenSoon();
  }

  async stop(): Promise<void> {
    await this.following?.close();
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.hastening;
  }

  private take(state: ReturnType<typeof topics.config.decode>): void {
    if (state.kind !== 'endpoint') return;
    const { id, version } = state;
    if (version < this.versionOf(id)) return;
    if (state.enabled && !state.deleted) {
      if (this.versions.delete(id) || this.back.has(id)) this.back.set(id, version);
      this.fresh.delete(id);
      return;
    }
    this.versions.set(id, version);
    this.fresh.add(id);
    this.hastenSoon();
  }

  private hastenSoon(inMs = GATHER_MS): void {
    if (!this.isCaughtUp || this.isStopped || this.fresh.size === 0) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.hastening = this.hastening.then(() => this.hasten());
    }, inMs);
  }

  private async hasten(): Promise<void> {
    const endpoints = [...this.fresh];
    this.fresh.clear();
    try {
      await hastenDue(this.options.pool, endpoints);
      this.options.onHastened(endpoints);
    } catch (error) {
      for (const endpoint of endpoints) if (this.versions.has(endpoint)) this.fresh.add(endpoint);
      this.options.onFailure(error);
      this.hastenSoon(RETRY_MS);
    }
  }
}
