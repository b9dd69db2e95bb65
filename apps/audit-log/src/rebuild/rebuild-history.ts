import type { EventLog } from '@posthaste/event-log';
import {
  halfTheTime,
  type OwnSteps,
  type RebuildStep,
  type RebuildWork,
  RebuildFailed,
  type RunningRebuilds,
  Runs,
  runsMigration,
  startRebuildLoop,
} from '@posthaste/rebuild';
import type pg from 'pg';
import { type HistoryOptions, historyProjection, historyTopics } from '../history/history.projection.js';
import { compareHistories, tablesNotFilled } from './compare-histories.js';
import { besideHistory } from './next-history.js';
import { swapHistories } from './swap-histories.js';

/**
 * History rebuilt, in the frame of libs/rebuild:
 *
 *   filled from the log's start, up to its end --> swept as retention would --> compared --> swapped
 *
 * Refused is a rebuild from a log that has forgotten its beginning: it would be a history with a hole. One that lacks
 * rows which are live is not swapped in, for the same reason.
 */
export interface HistoryRebuildParts {
  /** How the live history is written. */
  history?: HistoryOptions;
  log: EventLog;
  /** Its readers of the log: of a process that died, the group is taken over once it is known to be dead. */
  group?: string;
  /** PostgreSQL, for migrations. */
  url: string;
  /** Live reads and commands. */
  pool: pg.Pool;
  /** The rebuild's own: its statements are prepared for the next schema. */
  filling: pg.Pool;
  /** Deletes and shreds what retention would, of the history that is reached through the pool. */
  sweep: (pool: pg.Pool, nowMs: number) => Promise<void>;
  /** History has what the log held at start: before that it is being rebuilt already. */
  opened: Promise<unknown>;
  onStep: (step: RebuildStep) => void;
  onRetry: (error: unknown) => void;
}

const REBUILD_GROUP = 'history-rebuild';
const LOCK = 0x72656264;
const RUNS = 'rebuild';

export const historyRunsMigration = runsMigration(RUNS);

export function startHistoryRebuilds(parts: HistoryRebuildParts): RunningRebuilds {
  const { log, pool } = parts;
  const runs = new Runs(pool, RUNS);
  return startRebuildLoop({
    ...parts,
    group: parts.group ?? REBUILD_GROUP,
    name: 'history',
    topics: historyTopics,
    beside: besideHistory,
    runs,
    lock: LOCK,
    whyNot: () => whyNot(log),
    stepsOf: (work) => stepsOf(parts, runs, work),
  });
}

/** Says why history cannot be rebuilt from the log; undefined when it can. */
async function whyNot(log: EventLog): Promise<string | undefined> {
  const starts = await Promise.all(historyTopics.map((topic) => log.admin.startOffsets(topic)));
  const [gone] = starts.flat().filter(({ offset }) => offset > 0);
  if (!gone) return undefined;
  return (
    `The log no longer holds everything: ${gone.topic}/${gone.partition} begins at offset ${gone.offset}. ` +
    'What is gone from it would be gone from history too, so history is left as it is.'
  );
}

function stepsOf(parts: HistoryRebuildParts, runs: Runs, { client, run, signal }: RebuildWork): OwnSteps {
  const { log, pool, onStep, sweep } = parts;
  const next = besideHistory.pool(parts.filling);
  return {
    store: halfTheTime(historyProjection(next, () => undefined, parts.history)),
    makeReady: async (caughtUp) => {
      // By one clock, so that both have the same rows left.
      const now = Date.now();
      for (const history of [next, pool]) await sweep(history, now);
      await besideHistory.analyse(client);
      const tables = await compareHistories(client, run.started_at, caughtUp);
      if (signal.aborted) return undefined;
      onStep('compared');
      if (tables.some(({ missing }) => missing > 0)) {
        throw new RebuildFailed('Rows of the live history are not in the log: nothing was changed.', tables);
      }
      const lost = await tablesNotFilled(client);
      if (lost.length > 0) {
        throw new RebuildFailed(`Nothing was made again of ${lost.join(', ')}: nothing was changed.`, tables);
      }
      // Forgotten meanwhile, perhaps before it was read.
      const gone = await whyNot(log);
      if (gone !== undefined) throw new RebuildFailed(gone);
      return () => swapHistories(client, pool, { runs, run, tables }, () => onStep('swapping'));
    },
  };
}
