import { type ConfigState, type TenantState, topics } from '@posthaste/contracts';
import type { LogReader } from '@posthaste/event-log';
import type { Vault } from '@posthaste/vault';
import { KnownEndpoint } from './known-endpoint.js';

/**
 * All configuration, in memory, kept current by following the compacted topic.
 *
 * A state is taken only if its version is above the one held, so repeats and reordering change nothing. Deleted
 * endpoints are remembered: "deleted" is an answer, "never heard of" is not. What is looked up is the newest version
 * known, at least the one asked for; it is never guessed.
 */
export interface ConfigCacheOptions {
  reader: LogReader;
  vault: Vault;
  onUnreadable(error: unknown, offset: number): void;
}

interface Waiter {
  version: number;
  resolve(known: KnownEndpoint | null): void;
  timer: NodeJS.Timeout;
}

export class ConfigCache {
  private readonly tenants = new Map<string, TenantState>();
  private readonly endpoints = new Map<string, KnownEndpoint>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private following: { caughtUp: Promise<void>; close(): Promise<void> } | undefined;

  constructor(private readonly options: ConfigCacheOptions) {}

  /** Resolves when everything the topic held at the call is known. */
  async start(): Promise<void> {
    this.following = await this.options.reader.follow(topics.config, (record) => {
      try {
        this.apply(topics.config.decode(record));
      } catch (error) {
        this.options.onUnreadable(error, record.offset);
      }
    });
    await this.following.caughtUp;
  }

  /** The endpoint if it is known at this version or a later one. */
  find(endpoint: string, version: number): KnownEndpoint | undefined {
    const known = this.endpoints.get(endpoint);
    return known !== undefined && known.state.version >= version ? known : undefined;
  }

  /** Waits for the version to arrive; null when it does not in time. */
  whenAtLeast(endpoint: string, version: number, timeoutMs: number): Promise<KnownEndpoint | null> {
    const known = this.find(endpoint, version);
    if (known) return Promise.resolve(known);
    return new Promise((resolve) => {
      const waiting = this.waiters.get(endpoint) ?? new Set();
      this.waiters.set(endpoint, waiting);
      const timer = setTimeout(() => {
        waiting.delete(waiter);
        if (waiting.size === 0) this.waiters.delete(endpoint);
        resolve(null);
      }, timeoutMs);
      const waiter: Waiter = { version, resolve, timer };
      waiting.add(waiter);
    });
  }

  get size(): number {
    return this.endpoints.size;
  }

  async close(): Promise<void> {
    await this.following?.close();
  }

  private apply(state: ConfigState): void {
    switch (state.kind) {
      case 'tenant':
        if (state.version > (this.tenants.get(state.id)?.version ?? 0)) this.tenants.set(state.id, state);
        return;
      case 'endpoint': {
        if (this.find(state.id, state.version)) return;
        const known = new KnownEndpoint(state, (id) => this.tenants.get(id), this.options.vault);
        this.endpoints.set(state.id, known);
        this.tellWaiters(known);
      }
    }
  }

  private tellWaiters(known: KnownEndpoint): void {
    const { id, version } = known.state;
    const waiting = this.waiters.get(id);
    if (!waiting) return;
    for (const waiter of waiting) {
      if (waiter.version > version) continue;
      waiting.delete(waiter);
      clearTimeout(waiter.timer);
      waiter.resolve(known);
    }
    if (waiting.size === 0) this.waiters.delete(id);
  }
}
