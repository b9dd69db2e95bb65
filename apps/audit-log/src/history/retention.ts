import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@posthaste/runtime';
import type pg from 'pg';
import { deleteExpiredItems } from '../feeds/sql/delete-expired-items.js';
import { deleteExpired } from './sql/delete-expired.js';

export interface RetentionOptions {
  logger: Logger;
  keptMs: number;
  feedKeptMs: number;
}

/**
 * Items stay this much longer than they can be read: ids tell their times to a few seconds, clocks of replicas differ,
 * and an item that is gone while an earlier one can still be read would be a hole in the feed.
 */
const FEED_MARGIN_MS = 600_000;
const EVERY_MS = 10 * 60_000;
/** Between two batches, so that deleting never takes more than a small share of the database. */
const BREATH_MS = 100;

/**
 * Deletes what is older than it is to be kept, a batch at a time, every ten minutes. Two replicas doing so at once only
 * share the work, and one that dies leaves what is over for the next. The log forgets by its own settings; history
 * rebuilt from it can hold no more than it still has.
 */
export class Retention {
  private readonly stopping = new AbortController();

  constructor(private readonly options: RetentionOptions) {}

  /** Deletes all that is to go at `nowMs`, of the history that is reached through the pool. */
  async sweep(pool: pg.Pool, nowMs: number): Promise<void> {
    const { keptMs, feedKeptMs } = this.options;
    await this.remove('history', nowMs - keptMs, (before) => deleteExpired(pool, before));
    await this.remove('feeds', nowMs - feedKeptMs - FEED_MARGIN_MS, (before) =>
      deleteExpiredItems(pool, before),
    );
  }

  private async remove(
    of: string,
    before: number,
    removeBatch: (before: number) => Promise<number>,
  ): Promise<void> {
    let total = 0;
    for (let deleted = 1; deleted > 0 && !this.stopping.signal.aborted; total += deleted) {
      deleted = await removeBatch(before);
      if (deleted > 0) await this.breathe();
    }
    if (total > 0) this.options.logger.info({ rows: total, before, of }, 'history.expired');
  }

  private async breathe(): Promise<void> {
    await sleep(BREATH_MS, undefined, { signal: this.stopping.signal }).catch(() => undefined);
  }

  /** Sweeps the live history from now on. */
  start(pool: pg.Pool): { stop(): Promise<void> } {
    let sweeping: Promise<void> = Promise.resolve();
    const timer = setInterval(() => {
      sweeping = sweeping
        .then(() => (this.stopping.signal.aborted ? undefined : this.sweep(pool, Date.now())))
        .catch((error: unknown) => this.options.logger.warn({ err: error }, 'history.expiry_failed'));
    }, EVERY_MS);
    return {
      stop: async () => {
        this.stopping.abort();
        clearInterval(timer);
        await sweeping;
      },
    };
  }
}
