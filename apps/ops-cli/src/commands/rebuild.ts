import { setTimeout as sleep } from 'node:timers/promises';
import { reach } from '../api.js';
import type { Command, Context } from '../command.js';
import { Failure } from '../failure.js';
import type { Answer, Cell } from '../output.js';

/** What audit-log says of a rebuild; `none` when there was never one. */
interface Rebuild {
  status: 'none' | 'running' | 'completed' | 'failed' | 'cancelled';
  id?: string;
  started_at?: number;
  finished_at?: number | null;
  reason?: string | null;
  applied?: number;
  total?: number;
  tables?: { table: string; live: number; rebuilt: number; missing: number }[] | null;
  /** Why one would be refused now. */
  obstacle?: string | null;
}

const ASK_EVERY_MS = 500;
/** A service that is restarted meanwhile is away for so long at most. */
const AWAY_MS = 60_000;
const BAR_WIDTH = 30;

const history: Command = {
  name: 'rebuild history',
  says: 'read the log into a new history beside the live one, and put it in its place',
  options: ['dry-run'],
  run: async ({ dryRun }, context) => {
    if (dryRun) {
      const rebuild = await ask(context, 'GET');
      const note = rebuild.obstacle ?? 'nothing was begun: --dry-run';
      return { ...answerOf(rebuild), note, isBad: typeof rebuild.obstacle === 'string' };
    }
    await ask(context, 'POST');
    return answerOf(await whenOver(context));
  },
};

const status: Command = {
  name: 'rebuild status',
  says: 'how far the rebuild is, or what became of the last one',
  options: [],
  run: async (_, context) => answerOf(await ask(context, 'GET')),
};

const cancel: Command = {
  name: 'rebuild cancel',
  says: 'end the rebuild and leave history as it is',
  options: ['dry-run'],
  run: async ({ dryRun }, context) => answerOf(await ask(context, dryRun ? 'GET' : 'DELETE')),
};

export const rebuild: Command[] = [history, status, cancel];

/** Interrupted, it leaves the rebuild at work: it is audit-log's, and goes on over restarts of it. */
async function whenOver(context: Context): Promise<Rebuild> {
  let awaySince: number | undefined;
  for (;;) {
    try {
      const rebuild = await ask(context, 'GET');
      awaySince = undefined;
      if (rebuild.status !== 'running') return rebuild;
      context.progress(bar(rebuild));
    } catch (error) {
      awaySince ??= context.nowMs();
      if (!(error instanceof Failure) || error.kind !== 'unreachable') throw error;
      if (context.nowMs() - awaySince > AWAY_MS) throw error;
      context.progress('audit-log is away: the rebuild goes on when it is back');
    }
    await sleep(ASK_EVERY_MS);
  }
}

function bar({ applied = 0, total = 0 }: Rebuild): string {
  const share = total === 0 ? 1 : applied / total;
  const full = Math.floor(share * BAR_WIDTH);
  const done = `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)}`;
  return `${done} ${Math.floor(share * 100)} %  ${applied} of ${total} records`;
}

async function ask(context: Context, method: 'GET' | 'POST' | 'DELETE'): Promise<Rebuild> {
  const { ops, from } = context.target();
  const url = ops['audit-log'];
  if (url === undefined) {
    throw new Failure('usage', `${from} does not say where audit-log's ops port is`, {
      hint: 'a profile names it: "ops": {"audit-log": "http://host:port"}',
    });
  }
  const answer = await reach(`${url}/rebuild`, { method, headers: { 'content-type': 'application/json' } });
  const body = (await answer.json().catch(() => ({}))) as Rebuild & { refused?: string };
  if (answer.ok) return body;
  const why = body.refused ?? `${url}/rebuild answered ${answer.status}`;
  throw new Failure(answer.status === 503 ? 'unreachable' : 'refused', why);
}

function answerOf(rebuild: Rebuild): Answer {
  const time = (ms: number | null | undefined): Cell =>
    typeof ms === 'number' ? new Date(ms).toISOString() : null;
  const fields: [string, Cell][] = [
    ['status', rebuild.status],
    ['records', rebuild.total === undefined ? null : `${rebuild.applied ?? 0} of ${rebuild.total}`],
    ['started', time(rebuild.started_at)],
    ['finished', time(rebuild.finished_at)],
    ...(typeof rebuild.reason === 'string' ? [['reason', rebuild.reason] as [string, Cell]] : []),
  ];
  const titles = ['table', 'rows live', 'rebuilt', 'missing'];
  const rows = (rebuild.tables ?? []).map((one) => [one.table, one.live, one.rebuilt, one.missing]);
  return {
    kind: 'data',
    json: rebuild,
    blocks: [{ fields }, ...(rows.length > 0 ? [{ titles, rows }] : [])],
    isBad: rebuild.status === 'failed',
  };
}
