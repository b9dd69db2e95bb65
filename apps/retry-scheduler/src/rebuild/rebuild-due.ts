import type { EventLog } from '@posthaste/event-log';
import {
  halfTheTime,
  type OwnSteps,
  type RebuildStep,
  type RebuildWork,
  type RunningRebuilds,
  Runs,
  runsMigration,
  startRebuildLoop,
} from '@posthaste/rebuild';
import type pg from 'pg';
import { dueIndexProjection, scheduledTopics } from '../due-index/index.js';
import { besideDue } from './beside-due.js';
import { Forgotten1796000000003, noteForgotten } from './forgotten.js';
import { Gate } from './gate.js';
import { swapDue } from './swap-due.js';

/**
 * The due index rebuilt, in the frame of libs/rebuild: filled from the log's start beside the live one, which releases
 * go on from all the time, brought to the very positions of the live one, and swapped (swap-due.ts).
 *
 * The log says what is owed. It does not say all that the live index and this process know; of each such thing:
 *
 *   handed over, not answered   The row of a delivery without a key is deleted when it is handed over, so the next index
 *                               has it and the live one has not. It waits for its answer, a quarter of an hour, and then
 *                               goes once more, as one of a key would. A row that was lost from the live index cannot be
 *                               told from one handed over unless its time is still to come: it goes as late.
 *   `released`, in a key        taken over with its time: those behind it go on waiting, and it is recalled as before.
 *                               The row stays live until it is answered, so one that is not there was not handed over
 *   parked by the release       taken over where it is due. A mark that is wrong does no harm there
 *   hastened (endpoint gone)    hastened again, in the swap
 *   postponed (history was not  not taken over: asked for at once, and postponed again
 *   ready for it)
 *   first or behind in a key    follows from the rows
 *   windows of lanes            in memory, by endpoint and delivery: the swap does not touch them (ADR 8)
 *   of times the log has        stays as it is live, row for row (forgotten.ts). So a log that keeps too little is no
 *   forgotten                   reason to refuse
 *
 * What is live and of neither kind is not owed, and goes: the count is `missing` of the run. What the log has of
 * deliveries that history knows to be settled is dropped by the release, as ever.
 *
 * Publishing and sending go on. Releases wait while the swap compares the two and renames: the longer, the more is owed.
 * What it must wait for itself it gives three seconds, then it gives way and tries again. Killed before it commits, the
 * live index is as it was.
 */
export interface DueRebuildParts {
  log: EventLog;
  /** Its readers of the log: of a process that died, the group is taken over once it is known to be dead. */
  group?: string;
  /** PostgreSQL, for migrations. */
  url: string;
  pool: pg.Pool;
  /** The rebuild's own: its statements are prepared for the next schema, and releases may wait with all of the others. */
  filling: pg.Pool;
  /** Endpoints that are disabled or deleted. */
  gone: () => string[];
  /** The live index has what the log held at start: before that it is being rebuilt already. */
  opened: Promise<unknown>;
  onStep: (step: RebuildStep) => void;
  onRetry: (error: unknown) => void;
}

const REBUILD_GROUP = 'due-rebuild';
const LOCK = 0x72656475;

/** Of its own: `schedule` is swapped. */
export const REBUILD_SCHEMA = 'schedule_rebuild';
export const dueRebuildMigrations = [runsMigration(REBUILD_SCHEMA), Forgotten1796000000003];

export function startDueRebuilds(parts: DueRebuildParts): RunningRebuilds {
  const runs = new Runs(parts.pool, REBUILD_SCHEMA);
  return startRebuildLoop({
    ...parts,
    group: parts.group ?? REBUILD_GROUP,
    name: 'due index',
    topics: scheduledTopics,
    beside: besideDue,
    runs,
    lock: LOCK,
    whyNot: () => Promise.resolve(undefined),
    stepsOf: (work) => stepsOf(parts, runs, work),
  });
}

function stepsOf(parts: DueRebuildParts, runs: Runs, { client, run, signal }: RebuildWork): OwnSteps {
  const { log, filling, gone, onStep } = parts;
  const next = dueIndexProjection(besideDue.pool(filling), {
    onEvent: () => undefined,
    onOwed: () => undefined,
    onParked: () => undefined,
    onUnreadable: () => undefined,
  });
  const gate = new Gate(halfTheTime(next), (gap) => noteForgotten(filling, run.id, gap));
  const swapping = { log, pool: filling, runs, run, gate, gone, signal, onStep };
  return {
    store: gate,
    makeReady: async () => {
      await besideDue.analyse(client);
      return () => swapDue(client, swapping);
    },
    close: () => gate.close(),
  };
}
