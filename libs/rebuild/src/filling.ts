import { setTimeout as sleep } from 'node:timers/promises';
import type { Topic } from '@posthaste/contracts';
import {
  endsOf,
  type EventLog,
  type Position,
  type ProjectionStore,
  runProjection,
} from '@posthaste/event-log';
import type pg from 'pg';
import type { Beside } from './beside.js';
import { RebuildFailed } from './errors.js';
import type { Runs } from './runs.js';

/** The next tables follow the log. */
export interface Filling {
  /** They have what the log holds now; false when told to stop before. Throws RebuildFailed when it was cancelled. */
  caughtUp(): Promise<boolean>;
  /** They are the live ones now, and have another name: what fails from here on is nobody's matter. */
  swapped(): void;
  stop(): Promise<void>;
}

export interface FillingOptions {
  log: EventLog;
  group: string;
  topics: Pick<Topic, 'name'>[];
  /** Writes the next tables. */
  store: ProjectionStore;
  pool: pg.Pool;
  beside: Beside;
  runs: Runs;
  run: string;
  signal: AbortSignal;
  onRetry: (error: unknown) => void;
  onApplied: () => void;
}

const POLL_MS = 200;

export async function startFilling(options: FillingOptions): Promise<Filling> {
  const { log, group, topics, store, pool, beside, runs, run, signal, onApplied } = options;
  let fatal: Error | undefined;
  let isSwapped = false;
  const projection = await runProjection({
    log,
    group,
    topics,
    store,
    onApplied,
    onRetry: (error) => isSwapped || options.onRetry(error),
    onFatal: (error) => (fatal = error),
  });
  return {
    caughtUp: async () => {
      const ends = await endsOf(log, topics);
      while (!signal.aborted) {
        if (fatal) throw fatal;
        if ((await runs.atWork())?.id !== run) throw new RebuildFailed('cancelled');
        if (await hasReached(pool, beside.next, ends)) return true;
        await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
      }
      return false;
    },
    swapped: () => {
      isSwapped = true;
    },
    stop: () => projection.stop(),
  };
}

async function hasReached(pool: pg.Pool, schema: string, ends: Position[]): Promise<boolean> {
  const { rows } = await pool.query<{ behind: number }>(
    `select count(*)::int as behind from unnest($1::text[], $2::int[], $3::bigint[]) as e (topic, partition, reach)
     left join ${schema}.position p using (topic, partition) where coalesce(p.next, 0) < e.reach`,
    [ends.map((end) => end.topic), ends.map((end) => end.partition), ends.map((end) => end.offset)],
  );
  return rows[0]?.behind === 0;
}
