import { setTimeout as sleep } from 'node:timers/promises';
import { reach } from '../api.js';
import type { Command, Context } from '../command.js';
import { Failure } from '../failure.js';
import type { Answer, Cell } from '../output.js';

/** What is made from the log and can be made again, and the service that does it. */
const projections = {
  history: { service: 'audit-log', says: 'a new history' },
  due: { service: 'retry-scheduler', says: 'a new due index: what is owed, and when' },
} as const;
type Projection = keyof typeof projections;
const names = Object.keys(projections) as Projection[];

/** What a service says of a rebuild; `none` when there was never one. */
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

const rebuildOf = (projection: Projection): Command => ({
  name: `rebuild ${projection}`,
  says: `read the log into ${projections[projection].says} beside the live one, and put it in its place`,
  options: ['dry-run'],
  run: async ({ dryRun }, context) => {
    if (dryRun) {
      const rebuild = await ask(context, projection, 'GET');
      const note = rebuild.obstacle ?? 'nothing was begun: --dry-run';
      return { ...answerOf(projection, rebuild), note, isBad: typeof rebuild.obstacle === 'string' };
    }
    await ask(context, projection, 'POST');
    return answerOf(projection, await whenOver(context, projection));
  },
});

const takes = { words: `[${names.join('|')}]`, least: 0, most: 1 };

const status: Command = {
  name: 'rebuild status',
  says: 'how far a rebuild is, or what became of the last one',
  takes,
  options: [],
  run: async ({ words }, context) => {
    const projection = await meant(words, context);
    return answerOf(projection, await ask(context, projection, 'GET'));
  },
};

const cancel: Command = {
  name: 'rebuild cancel',
  says: 'end a rebuild and leave what is live as it is',
  takes,
  options: ['dry-run'],
  run: async ({ words, dryRun }, context) => {
    const projection = await meant(words, context);
    return answerOf(projection, await ask(context, projection, dryRun ? 'GET' : 'DELETE'));
  },
};

export const rebuild: Command[] = [...names.map(rebuildOf), status, cancel];

/** The one that is named, or else is at work, or was last. Two are at work: the later one. */
async function meant([word]: string[], context: Context): Promise<Projection> {
  if (word !== undefined) {
    const named = names.find((name) => name === word);
    if (named === undefined) throw new Failure('usage', `${word} is none of ${names.join(', ')}`);
    return named;
  }
  const { ops } = context.target();
  const known = names.filter((name) => ops[projections[name].service] !== undefined);
  const answers = await Promise.allSettled(
    known.map(async (name) => ({ name, rebuild: await ask(context, name, 'GET') })),
  );
  // One that is away is seldom the one that is asked about, and says so when it is.
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const rank = ({ status: state, started_at = 0 }: Rebuild): number =>
    started_at + (state === 'running' ? Number.MAX_SAFE_INTEGER / 2 : 0);
  return found.sort((a, b) => rank(b.rebuild) - rank(a.rebuild))[0]?.name ?? known[0] ?? 'history';
}

/** Interrupted, it leaves the rebuild at work: it is the service's, and goes on over restarts of it. */
async function whenOver(context: Context, projection: Projection): Promise<Rebuild> {
  let awaySince: number | undefined;
  for (;;) {
    try {
      const rebuild = await ask(context, projection, 'GET');
      awaySince = undefined;
      if (rebuild.status !== 'running') return rebuild;
      context.progress(bar(rebuild));
    } catch (error) {
      awaySince ??= context.nowMs();
      if (!(error instanceof Failure) || error.kind !== 'unreachable') throw error;
      if (context.nowMs() - awaySince > AWAY_MS) throw error;
      context.progress(`${projections[projection].service} is away: the rebuild goes on when it is back`);
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

async function ask(
  context: Context,
  projection: Projection,
  method: 'GET' | 'POST' | 'DELETE',
): Promise<Rebuild> {
  const { service } = projections[projection];
  const { ops, from } = context.target();
  const url = ops[service];
  if (url === undefined) {
    throw new Failure('usage', `${from} does not say where ${service}'s ops port is`, {
      hint: `a profile names it: "ops": {"${service}": "http://host:port"}`,
    });
  }
  const answer = await reach(`${url}/rebuild`, { method, headers: { 'content-type': 'application/json' } });
  const body = (await answer.json().catch(() => ({}))) as Rebuild & { refused?: string };
  if (answer.ok) return body;
  const why = body.refused ?? `${url}/rebuild answered ${answer.status}`;
  throw new Failure(answer.status === 503 ? 'unreachable' : 'refused', why);
}

function answerOf(projection: Projection, rebuild: Rebuild): Answer {
  const time = (ms: number | null | undefined): Cell =>
    typeof ms === 'number' ? new Date(ms).toISOString() : null;
  const fields: [string, Cell][] = [
    ['rebuild', projection],
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
