import { createLogger, createPool } from '@posthaste/runtime';
import { Retention } from '../retention/retention.js';

/** A process that sweeps history once, and dies as by kill -9: at the n-th batch, or so long after the first. */
export interface RetentionChildOrder {
  url: string;
  nowMs: number;
  keptMs: number;
  dieAt?: { batch: number } | { afterMs: number };
}

const { url, nowMs, keptMs, dieAt } = JSON.parse(process.argv[2] ?? '{}') as RetentionChildOrder;
const { logger } = createLogger('retention-child', 'silent');
const pool = createPool({ url, name: 'child', max: 2, logger });
const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
let batches = 0;
const retention = new Retention({
  logger,
  keptMs,
  feedKeptMs: keptMs,
  onBatch: () => {
    batches++;
    if (dieAt === undefined) return;
    if ('batch' in dieAt && dieAt.batch === batches) die();
    if ('afterMs' in dieAt && batches === 1) setTimeout(die, dieAt.afterMs);
  },
});
await retention.shred(pool, nowMs, 0);
await retention.sweep(pool, nowMs);
await pool.end();
