import { openEventLog } from '@posthaste/event-log';
import type { RebuildStep } from '@posthaste/rebuild';
import { createLogger, createPool } from '@posthaste/runtime';
import { rebuildChild } from '@posthaste/test-kit';
import { scheduleSettings } from '../due-index/index.js';
import { startDueRebuilds } from '../rebuild/index.js';

/** A process that rebuilds the due index, for a test to kill on the way. */
const child = rebuildChild<RebuildStep>('dropped');
const { url } = child;
const { logger } = createLogger('rebuild-child', 'silent');
const log = await openEventLog({ kind: 'postgres', url });
const pool = createPool({ url, name: 'child', max: 3, logger });
const filling = createPool({ url, name: 'child-filling', max: 3, logger, settings: scheduleSettings });
const rebuilds = startDueRebuilds({
  log,
  // Nobody waits for the dead to be missed.
  group: `due-rebuild-${process.pid}`,
  url,
  pool,
  filling,
  gone: () => [],
  opened: Promise.resolve(),
  ...child.hooks,
});
await child.run(rebuilds);
await Promise.all([pool.end(), filling.end()]);
await log.close();
