import type { GuardedClient } from '@posthaste/egress';
import { retryDelayMs } from './backoff.js';
import { listConnections } from './invitations.js';

/**
 * Asks a source once for the connections its account has already (`sync_url`), when somebody wants invitations.
 *
 *   unasked --begin()--> asking --a list--> listed --done()--> done
 *   asking --it failed--> waiting --(1 s, doubling to 60 s)--> asking
 *
 * It promises to hold up nobody: a list that cannot be had is asked for again beside whatever is read. Nor does it decide
 * when a list is true: whoever publishes takes it when there is nothing left of what came before it, because an
 * invitation is news even if a list that was made after it says so too.
 */
export interface Asked {
  client: GuardedClient;
  url: string;
  headers: () => Record<string, string>;
  random: () => number;
  /** What a person is to be told; null: it has been made. */
  onTried: (error: SyncError | null) => void;
}

export interface SyncError {
  class: 'sync_failed';
  message: string;
}

export class InitialSync {
  /** The list, from when it has come until it is done. */
  names: readonly string[] | undefined;
  private state: 'unasked' | 'asking' | 'listed' | 'waiting' | 'done' | 'closed' = 'unasked';
  private failures = 0;
  private timer: NodeJS.Timeout | undefined;
  private onListed: () => void = () => undefined;

  constructor(private readonly asked: Asked) {}

  /** Resolves when the first try is over; at once when that was before. */
  async begin(): Promise<void> {
    if (this.state === 'unasked') await this.ask();
  }

  /** What is waited for; undefined when a list is there first. */
  orListed<T>(waited: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.onListed = () => resolve(undefined);
      waited.then(resolve, reject);
      // What has come already is older than the list.
      if (this.names) setImmediate(this.onListed);
    });
  }

  done(): void {
    this.names = undefined;
    if (this.state === 'listed') this.state = 'done';
    this.asked.onTried(null);
  }

  /** The list could not be kept: another is asked for later. */
  again(message: string): void {
    this.names = undefined;
    if (this.state === 'closed') return;
    this.state = 'waiting';
    this.failures += 1;
    const delayMs = retryDelayMs(this.failures, undefined, this.asked.random());
    this.timer = setTimeout(() => void this.ask(), delayMs);
    this.asked.onTried({ class: 'sync_failed', message });
  }

  close(): void {
    this.state = 'closed';
    clearTimeout(this.timer);
  }

  private async ask(): Promise<void> {
    const { client, url, headers } = this.asked;
    this.state = 'asking';
    const listed = await listConnections(client, url, headers()).catch(
      () => ({ ok: false, message: 'It could not be asked for' }) as const,
    );
    if (this.isClosed()) return;
    if (!listed.ok) return this.again(listed.message);
    this.state = 'listed';
    this.names = listed.names;
    this.onListed();
  }

  private isClosed(): boolean {
    return this.state === 'closed';
  }
}
