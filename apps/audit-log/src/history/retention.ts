import type { Logger } from '@posthaste/runtime';
import type pg from 'pg';
import { deleteExpired } from './sql/delete-expired.js';

export interface RetentionOptions {
  pool: pg.Pool;
  logger: Logger;
  days: number;
}

const DAY_MS = 86_400_000;
const EVERY_MS = 10 * 60_000;
/** Between two batches, so that deleting never takes more than a small share of the database. */
const BREATH_MS = 100;

/**
 * Deletes history older than `days`, a batch at a time, every ten minutes. Two replicas doing so at once only share
 * the work. The log forgets by its own settings; history rebuilt from it can hold no more than it still has.
 */
export function startRetention({ pool, logger, days }: RetentionOptions): { stop(): Promise<void> } {
  let stopped = false;
  let sweeping: Promise<void> = Promise.resolve();
  let wake: () => void = () => undefined;
  const breath = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, BREATH_MS);
      wake = () => (clearTimeout(timer), resolve());
    });

  const sweep = async (): Promise<void> => {
    const before = Date.now() - days * DAY_MS;
    let total = 0;
    for (let deleted = 1; deleted > 0 && !stopped; total += deleted) {
      deleted = await deleteExpired(pool, before);
      if (deleted > 0) await breath();
    }
    if (total > 0) logger.info({ rows: total, before }, 'history.expired');
  };
  const timer = setInterval(() => {
    sweeping = sweeping
      .then(() => (stopped ? undefined : sweep()))
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
