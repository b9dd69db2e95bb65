import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@posthaste/runtime';
import type pg from 'pg';
import { deleteExpiredItems } from '../feeds/sql/delete-expired-items.js';
import { deleteExpired } from './delete-expired.js';
import { deleteOfTenant } from './delete-of-tenant.js';
import { dropPayloadKeys } from './drop-payload-keys.js';
import { shredAgain, shredDeletedTenants } from './shred-payloads.js';
import { shorterPolicies } from './tenant-policies.js';

export interface RetentionOptions {
  logger: Logger;
  /** What the installation keeps; a tenant may keep less. */
  keptMs: number;
  feedKeptMs: number;
  /** For proving: a batch was done. */
  onBatch?: () => void;
}

/**
 * Items stay this much longer than they can be read: ids tell their times to a few seconds, clocks of replicas differ,
 * and an item that is gone while an earlier one can still be read would be a hole in the feed.
 */
const FEED_MARGIN_MS = 600_000;
const EVERY_MS = 10 * 60_000;
/** Between two batches, so that deleting never takes more than a small share of the database. */
const BREATH_MS = 100;
/** Reports of attempts come no later than this after what they are about was shredded. */
const LATE_MS = 86_400_000;

/**
 * Deletes what is older than it is to be kept, and shreds what is to be forgotten, a batch at a time, every ten minutes.
 * Two replicas doing so at once only share the work, and one that dies leaves what is over for the next. The log
 * forgets by its own settings; history rebuilt from it is swept before anybody reads it.
 */
export class Retention {
  private readonly stopping = new AbortController();

  constructor(private readonly options: RetentionOptions) {}

  /**
   * Shreds again what was shredded and is there all the same, and the payloads of tenants that are gone.
   *
   * @param since only what was shredded at or after (ms since 1970)
   */
  async shred(pool: pg.Pool, nowMs: number, since: number): Promise<void> {
    const pause = (): Promise<boolean> => this.breathe();
    await this.untilNothing('payloads', () => shredAgain(pool, since, nowMs, pause));
    await this.untilNothing('payloads of deleted tenants', () => shredDeletedTenants(pool, nowMs, pause));
  }

  /** Deletes all that is to go at `nowMs`, of the history that is reached through the pool. */
  async sweep(pool: pg.Pool, nowMs: number): Promise<void> {
    const { keptMs, feedKeptMs } = this.options;
    await this.untilNothing('history', () => deleteExpired(pool, nowMs - keptMs));
    for (const policy of await shorterPolicies(pool, keptMs)) {
      let more = true;
      await this.untilNothing(`history of ${policy.tenant}`, async () => {
        if (!more) return 0;
        const batch = await deleteOfTenant(pool, policy.tenant, nowMs - policy.keptMs, nowMs);
        more = batch.more;
        // A window without any row of the tenant is no end.
        return batch.deleted + (more ? 1 : 0);
      });
    }
    await dropPayloadKeys(pool, nowMs);
    await this.untilNothing('feeds', () => deleteExpiredItems(pool, nowMs - feedKeptMs - FEED_MARGIN_MS));
  }

  private async untilNothing(of: string, doBatch: () => Promise<number>): Promise<void> {
    let total = 0;
    for (let done = 1; done > 0 && !this.stopping.signal.aborted; total += done) {
      done = await doBatch();
      if (done > 0) await this.breathe();
    }
    if (total > 0) this.options.logger.info({ rows: total, of }, 'history.expired');
  }

  /** False when there is no time for more. */
  private async breathe(): Promise<boolean> {
    this.options.onBatch?.();
    await sleep(BREATH_MS, undefined, { signal: this.stopping.signal }).catch(() => undefined);
    return !this.stopping.signal.aborted;
  }

  /** Sweeps the live history from now on; what was shredded at once when it is whole, as it may have been read again. */
  start(pool: pg.Pool, whole: Promise<unknown>): { stop(): Promise<void> } {
    let sweeping: Promise<void> = Promise.resolve();
    const next = (work: () => Promise<void>): void => {
      sweeping = sweeping
        .then(() => (this.stopping.signal.aborted ? undefined : work()))
        .catch((error: unknown) => this.options.logger.warn({ err: error }, 'history.expiry_failed'));
    };
    void whole.then(() => next(() => this.shred(pool, Date.now(), 0)));
    const timer = setInterval(() => {
      next(async () => {
        const now = Date.now();
        await this.shred(pool, now, now - LATE_MS);
        await this.sweep(pool, now);
      });
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
