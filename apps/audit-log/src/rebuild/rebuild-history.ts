import { setTimeout as sleep } from 'node:timers/promises';
import { endsOf, type EventLog, type Position, runProjection } from '@posthaste/event-log';
import type pg from 'pg';
import { type HistoryOptions, historyProjection, historyTopics } from '../history/history.projection.js';
import { compareHistories, type TableComparison, tablesNotFilled } from './compare-histories.js';
import {
  analyseNext,
  claimNext,
  createNextHistory,
  isOutdated,
  nextHistoryPool,
  NEXT,
  OLD,
  ownerOfNext,
} from './next-history.js';
import { halfTheTime } from './half-the-time.js';
import { endRun, type RebuildRun } from './runs.js';
import { swapHistories } from './swap-histories.js';

/**
 * One rebuild of history, beside the live one and without its readers noticing.
 *
 *   empty tables --> filled from the log's start, up to its end --> swept as retention would --> compared
 *     --> swapped, in one transaction --> the old tables dropped
 *
 * It may be killed anywhere. Until the swap has committed the live history is as it was, and whoever takes the rebuild
 * up again goes on from the position the next tables have, or begins again when they are not of this rebuild. After the
 * swap nothing is left to do but drop what is old.
 *
 * Refused is a rebuild from a log that has forgotten its beginning: it would be a history with a hole. One that lacks
 * rows which are live is not swapped in, for the same reason.
 */
export type RebuildStep = 'created' | 'applied' | 'filled' | 'compared' | 'swapping' | 'swapped' | 'dropped';

export interface RebuildParts {
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
  onStep: (step: RebuildStep) => void;
  onRetry: (error: unknown) => void;
}

const REBUILD_GROUP = 'history-rebuild';
const POLL_MS = 200;
const SWAP_TRIES = 5;

/** Ends a rebuild with a sentence for whoever asked for it. */
class RebuildFailed extends Error {
  constructor(
    message: string,
    readonly tables?: TableComparison[],
  ) {
    super(message);
  }
}

/** Says why history cannot be rebuilt from the log; undefined when it can. */
export async function whyNot(log: EventLog): Promise<string | undefined> {
  const starts = await Promise.all(historyTopics.map((topic) => log.admin.startOffsets(topic)));
  const [gone] = starts.flat().filter(({ offset }) => offset > 0);
  if (!gone) return undefined;
  return (
    `The log no longer holds everything: ${gone.topic}/${gone.partition} begins at offset ${gone.offset}. ` +
    'What is gone from it would be gone from history too, so history is left as it is.'
  );
}

/** @param client holds the lock that makes us the only one at it; the swap is made on it. */
export async function rebuildHistory(
  parts: RebuildParts,
  client: pg.ClientBase,
  run: RebuildRun,
  signal: AbortSignal,
): Promise<void> {
  try {
    await dropOld(client);
    await prepareNext(parts, client, run);
    await fillAndSwap(parts, client, run, signal);
    if (signal.aborted) return;
    await dropOld(client);
    parts.onStep('dropped');
  } catch (error) {
    if (!(error instanceof RebuildFailed)) throw error;
    const tables = error.tables ? { tables: error.tables } : {};
    await endRun(parts.pool, run.id, { status: 'failed', reason: error.message, ...tables });
    await dropNext(client);
  }
}

/** What a rebuild that is over may have left. */
export async function dropOld(client: pg.ClientBase): Promise<void> {
  await client.query(`drop schema if exists ${OLD} cascade`);
}
export async function dropNext(client: pg.ClientBase): Promise<void> {
  await client.query(`drop schema if exists ${NEXT} cascade`);
}

async function prepareNext({ url, log, onStep }: RebuildParts, client: pg.ClientBase, { id }: RebuildRun) {
  const gone = await whyNot(log);
  if (gone !== undefined) throw new RebuildFailed(gone);
  if ((await ownerOfNext(client)) === id && !(await isOutdated(client))) return;
  await dropNext(client);
  await createNextHistory(url);
  await claimNext(client, id);
  onStep('created');
}

async function fillAndSwap(
  parts: RebuildParts,
  client: pg.ClientBase,
  run: RebuildRun,
  signal: AbortSignal,
): Promise<void> {
  const { log, pool, onStep, sweep } = parts;
  const next = nextHistoryPool(parts.filling);
  const store = historyProjection(next, () => undefined, parts.history);
  let fatal: Error | undefined;
  let isSwapped = false;
  const projection = await runProjection({
    log,
    group: parts.group ?? REBUILD_GROUP,
    topics: historyTopics,
    store: halfTheTime(store),
    // Its tables have another name once they are swapped in, and it has not been stopped yet.
    onRetry: (error) => isSwapped || parts.onRetry(error),
    onFatal: (error) => (fatal = error),
    onApplied: () => onStep('applied'),
  });
  const caughtUp = async (): Promise<boolean> => {
    const ends = await endsOf(log, historyTopics);
    while (!signal.aborted && !(await hasReached(pool, run.id, ends))) {
      if (fatal) throw fatal;
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
    return !signal.aborted;
  };
  try {
    if (!(await caughtUp())) return;
    onStep('filled');
    // By one clock, so that both have the same rows left.
    const now = Date.now();
    for (const history of [next, pool]) await sweep(history, now);
    await analyseNext(client);
    const tables = await compareHistories(client, run.started_at, caughtUp);
    if (signal.aborted) return;
    onStep('compared');
    if (tables.some(({ missing }) => missing > 0)) {
      throw new RebuildFailed('Rows of the live history are not in the log: nothing was changed.', tables);
    }
    const lost = await tablesNotFilled(client);
    if (lost.length > 0) {
      throw new RebuildFailed(`Nothing was made again of ${lost.join(', ')}: nothing was changed.`, tables);
    }
    isSwapped = await swapWhenCaughtUp(parts, client, { run, tables, caughtUp });
  } finally {
    await projection.stop();
  }
}

async function swapWhenCaughtUp(
  { pool, log, onStep }: RebuildParts,
  client: pg.ClientBase,
  { run, tables, caughtUp }: { run: RebuildRun; tables: TableComparison[]; caughtUp: () => Promise<boolean> },
): Promise<boolean> {
  // Forgotten meanwhile, perhaps before it was read.
  const gone = await whyNot(log);
  if (gone !== undefined) throw new RebuildFailed(gone);
  for (let tries = 0; tries < SWAP_TRIES; tries++) {
    if (!(await caughtUp())) return false;
    const outcome = await swapHistories(client, pool, run, tables, () => onStep('swapping'));
    if (outcome === 'swapped') {
      onStep('swapped');
      return true;
    }
    if (outcome === 'cancelled') throw new RebuildFailed('cancelled');
    if (outcome === 'outdated') throw new RebuildFailed('Another version changed the tables of history.');
  }
  throw new RebuildFailed('The rebuilt history did not catch up with the live one.', tables);
}

/** Throws when the rebuild was cancelled meanwhile. */
async function hasReached(pool: pg.Pool, run: string, ends: Position[]): Promise<boolean> {
  const { rows } = await pool.query<{ status: string; behind: number }>(
    `select status, (
       select count(*)::int from unnest($2::text[], $3::int[], $4::bigint[]) as e (topic, partition, reach)
       left join ${NEXT}.position p using (topic, partition) where coalesce(p.next, 0) < e.reach) as behind
     from rebuild.run where id = $1`,
    [run, ends.map((end) => end.topic), ends.map((end) => end.partition), ends.map((end) => end.offset)],
  );
  if (rows[0]?.status !== 'running') throw new RebuildFailed('cancelled');
  return rows[0].behind === 0;
}
