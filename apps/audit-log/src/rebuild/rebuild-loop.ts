import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { endsOf, type EventLog } from '@posthaste/event-log';
import pg from 'pg';
import { historyTopics } from '../history/history.projection.js';
import { NEXT, OLD } from './next-history.js';
import { dropNext, dropOld, rebuildHistory, type RebuildParts, whyNot } from './rebuild-history.js';
import { endRun, insertRun, latestRun, type RebuildRun, runAtWork } from './runs.js';

/**
 * Works off what was asked for. Every replica of audit-log runs one: whoever gets the lock rebuilds, and when that
 * process dies the next one takes over, so a rebuild needs nobody to look after it.
 */
export interface RunningRebuilds {
  /** Asks for a rebuild, unless one is at work. The refusal is a sentence. */
  start(): Promise<{ refused: string } | RebuildProgress>;
  cancel(): Promise<void>;
  /** The one at work, or the latest. */
  progress(): Promise<RebuildProgress | undefined>;
  /** Why one that was asked for now would be refused. */
  obstacle(): Promise<string | undefined>;
  stop(): Promise<void>;
}

/** Records of the log: applied to the next tables, and there to be applied. */
export interface RebuildProgress extends RebuildRun {
  applied: number;
  total: number;
}

/** Also how soon a rebuild is taken over from a process that died. */
const POLL_MS = 1_000;
/** Any constant does, as long as it stays. */
const LOCK = [0x706f7374, 0x72656264];

export interface RebuildLoopOptions extends RebuildParts {
  /** History has what the log held at start: before that it is being rebuilt already. */
  opened: Promise<unknown>;
}

export function startRebuildLoop(options: RebuildLoopOptions): RunningRebuilds {
  const { pool, log } = options;
  const stopping = new AbortController();
  const rest = (): Promise<unknown> =>
    sleep(POLL_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
  const work = async (): Promise<void> => {
    await options.opened;
    while (!stopping.signal.aborted) {
      await workOff(options, stopping.signal).catch((error: unknown) => {
        if (!stopping.signal.aborted) options.onRetry(error);
      });
      await rest();
    }
  };
  const working = work();
  return {
    start: async () => {
      const refused = await whyNot(log);
      if (refused !== undefined) return { refused };
      await insertRun(pool, randomUUID(), Date.now());
      return (await progressOf(pool, log)) ?? { refused: 'It was over at once.' };
    },
    cancel: async () => {
      const run = await runAtWork(pool);
      if (run) await endRun(pool, run.id, { status: 'cancelled' });
    },
    progress: () => progressOf(pool, log),
    obstacle: () => whyNot(log),
    stop: async () => {
      stopping.abort();
      await working;
    },
  };
}

/** Whatever is asked for and nobody is at, and what a process left that died after a swap. */
async function workOff(options: RebuildLoopOptions, signal: AbortSignal): Promise<void> {
  const { pool, url } = options;
  if (!(await hasWork(pool))) return;
  const client = new pg.Client({
    connectionString: url,
    application_name: 'history-rebuild',
    keepAlive: true,
  });
  client.on('error', () => undefined);
  await client.connect();
  const cancel = (): void => {
    const { processID } = client as unknown as { processID: number };
    void pool.query('select pg_cancel_backend($1)', [processID]).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const { rows } = await client.query<{ held: boolean }>(
      'select pg_try_advisory_lock($1, $2) as held',
      LOCK,
    );
    if (!rows[0]?.held) return;
    const run = await runAtWork(pool);
    if (run) await rebuildHistory(options, client, run, signal);
    else {
      await dropOld(client);
      await dropNext(client);
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    await client.end();
  }
}

async function hasWork(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>(
    `select exists (select from rebuild.run where status = 'running')
       or exists (select from pg_namespace where nspname in ('${NEXT}', '${OLD}')) as found`,
  );
  return rows[0]?.found ?? false;
}

async function progressOf(pool: pg.Pool, log: EventLog): Promise<RebuildProgress | undefined> {
  const run = await latestRun(pool);
  if (!run) return undefined;
  const total = (await endsOf(log, historyTopics)).reduce((sum, { offset }) => sum + offset, 0);
  if (run.status === 'completed') return { ...run, applied: total, total };
  return { ...run, applied: Math.min(await appliedBy(pool), total), total };
}

async function appliedBy(pool: pg.Pool): Promise<number> {
  try {
    const { rows } = await pool.query<{ applied: number }>(
      `select coalesce(sum(next), 0)::bigint as applied from ${NEXT}.position`,
    );
    return rows[0]?.applied ?? 0;
  } catch (error) {
    // Not made yet, or over.
    if (['42P01', '3F000'].includes((error as { code?: string }).code ?? '')) return 0;
    throw error;
  }
}
