import type { Logger } from '@posthaste/runtime';
import type pg from 'pg';
import { deleteExpiredItems } from '../feeds/index.js';
import { deleteExpired } from './sql/delete-expired.js';

export interface RetentionOptions {
  pool: pg.Pool;
  logger: Logger;
  keptMs: number;
  feedKeptMs: number;
}

/**
 * Items stay this much longer than they can be read: ids tell their times to a few seconds, clocks of replicas differ, and
 * an item that is gone while an earlier one can still be read would be a hole in the feed.
 */
const FEED_MARGIN_MS = 3_600_000;
const EVERY_MS = 10 * 60_000;
/** Between two batches, so that deleting never takes more than a small share of the database. */
const BREATH_MS = 100;

/**
 * Deletes history older than it is to be kept, a batch at a time, every ten minutes. Two replicas doing so at once only share
 * the work. The log forgets by its own settings; history rebuilt from it can hold no more than it still has.
 */
export function startRetention({ pool, logger, keptMs, feedKeptMs }: RetentionOptions): {
  stop(): Promise<void>;
} {
  let stopped = false;
  let sweeping: Promise<void> = Promise.resolve();
  let wake: () => void = () => undefined;
  const breath = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, BREATH_MS);
      wake = () => (clearTimeout(timer), resolve());
    });

  const sweep = async (of: string, remove: typeof deleteExpired, before: number): Promise<void> => {
    let total = 0;
    for (let deleted = 1; deleted > 0 && !stopped; total += deleted) {
      deleted = await remove(pool, before);
      if (deleted > 0) await breath();
    }
    if (total > 0) logger.info({ rows: total, before, of }, 'history.expired');
  };
  const sweepAll = async (): Promise<void> => {
    const now = Date.now();
    await sweep('history', deleteExpired, now - keptMs);
    await sweep('feeds', deleteExpiredItems, now - feedKeptMs - FEED_MARGIN_MS);
  };
  const timer = setInterval(() => {
    sweeping = sweeping
      .then(() => (stopped ? undefined : sweepAll()))
      .catch((error: unknown) => logger.warn({ err: error }, 'history.expiry_failed'));
  }, EVERY_MS);

  return {
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      wake();
      await sweeping;
    },
  };
}
