import { openEventLog } from '@posthaste/event-log';
import type { RebuildStep } from '@posthaste/rebuild';
import { createLogger, createPool } from '@posthaste/runtime';
import { startDueRebuilds } from '../rebuild/index.js';

/** A process that rebuilds the due index, and dies as by kill -9 at the n-th of a step. Ends once it is over. */
export interface RebuildChildOrder {
  url: string;
  dieAt?: { step: RebuildStep; nth: number };
}

const { url, dieAt } = JSON.parse(process.argv[2] ?? '{}') as RebuildChildOrder;
const { logger } = createLogger('rebuild-child', 'silent');
const log = await openEventLog({ kind: 'postgres', url });
const settings = { synchronous_commit: 'off', enable_seqscan: 'off' };
const pool = createPool({ url, name: 'child', max: 3, logger });
const filling = createPool({ url, name: 'child-filling', max: 3, logger, settings });
const over = Promise.withResolvers<void>();
let seen = 0;

const rebuilds = startDueRebuilds({
  log,
  // Nobody waits for the dead to be missed.
  group: `due-rebuild-${process.pid}`,
  url,
  pool,
  filling,
  gone: () => [],
  opened: Promise.resolve(),
  onStep: (step) => {
    if (step === dieAt?.step && ++seen === dieAt.nth) process.kill(process.pid, 'SIGKILL');
    if (step === 'dropped') over.resolve();
  },
  onRetry: (error) => {
    process.stderr.write(`${String(error)}\n`);
  },
});
const answer = await rebuilds.start();
if ('refused' in answer) throw new Error(answer.refused);
await over.promise;
await rebuilds.stop();
await Promise.all([pool.end(), filling.end()]);
await log.close();
