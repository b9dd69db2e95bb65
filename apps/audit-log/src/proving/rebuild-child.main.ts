import { openEventLog } from '@posthaste/event-log';
import type { RebuildStep } from '@posthaste/rebuild';
import { createLogger, createPool } from '@posthaste/runtime';
import { rebuildChild } from '@posthaste/test-kit';
import { Retention } from '../retention/retention.js';
import { startHistoryRebuilds } from '../rebuild/index.js';

/** A process that rebuilds history, for a test to kill on the way. */
const child = rebuildChild<RebuildStep>('dropped');
const { url } = child;
const { logger } = createLogger('rebuild-child', 'silent');
const log = await openEventLog({ kind: 'postgres', url });
const pool = createPool({ url, name: 'child', max: 3, logger });
const filling = createPool({ url, name: 'child-filling', max: 2, logger });
const retention = new Retention({ logger, keptMs: 30 * 86_400_000, feedKeptMs: 30 * 86_400_000 });
const rebuilds = startHistoryRebuilds({
  log,
  // Nobody waits for the dead to be missed.
  group: `history-rebuild-${process.pid}`,
  url,
  pool,
  filling,
  sweep: async (of, nowMs) => {
    await retention.shred(of, nowMs, 0);
    await retention.sweep(of, nowMs);
  },
  opened: Promise.resolve(),
  ...child.hooks,
});
await child.run(rebuilds);
await Promise.all([pool.end(), filling.end()]);
await log.close();
