import { readFileSync } from 'node:fs';
import type pg from 'pg';

/*
 * What programs that measure a service's own statements on a filled PostgreSQL have in common. The server must run on
 * this machine.
 */

type Queries = Pick<pg.ClientBase, 'query'>;

/** Of Linux, which counts a process's time in hundredths of a second. */
const TICK_US = 10_000;

/** Processor time the server has spent for a connection so far, in µs: what else runs on the machine does not count. */
export async function spentUs(client: Queries): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const fields = readFileSync(`/proc/${rows[0]?.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

/** In ms: the first run, then the median and the worst of the others, and what the server spent of a processor for one. */
export interface Times {
  firstMs: number;
  medianMs: number;
  worstMs: number;
  serverMs: number;
}

export async function timeRuns<T>(
  client: Queries,
  runs: number,
  work: () => Promise<T>,
  { isUndone = false } = {},
): Promise<Times & { last: T | undefined }> {
  const times: number[] = [];
  let last: T | undefined;
  const before = await spentUs(client);
  for (let run = 0; run < runs; run++) {
    if (isUndone) await client.query('begin');
    const startedAt = performance.now();
    last = await work();
    times.push(performance.now() - startedAt);
    if (isUndone) await client.query('rollback');
  }
  const serverMs = ((await spentUs(client)) - before) / 1_000 / runs;
  const [firstMs = 0] = times;
  const sorted = times.slice(1).sort((a, b) => a - b);
  return { firstMs, medianMs: sorted[sorted.length >> 1] ?? 0, worstMs: sorted.at(-1) ?? 0, serverMs, last };
}

/** @param how options of EXPLAIN */
export async function explain(
  client: Queries,
  how: string,
  statement: string | pg.QueryConfig,
  values: unknown[] = [],
): Promise<string[]> {
  const [text, given] =
    typeof statement === 'string' ? [statement, values] : [statement.text, statement.values];
  const { rows } = await client.query<Record<string, string>>(`explain (${how}) ${text}`, given);
  return rows.map((row) => row['QUERY PLAN'] ?? '');
}

/** The plans of the statements that the work sends, as it sends them: some go on with what an earlier one answered. */
export async function plansOf(
  client: Queries,
  work: (explaining: Queries) => Promise<unknown>,
): Promise<string[]> {
  const plans: string[] = [];
  const query = async (statement: string | pg.QueryConfig, values?: unknown[]): Promise<unknown> => {
    const plan = await explain(client, 'analyze, buffers, costs off', statement, values);
    plans.push(...(plans.length > 0 ? [''] : []), ...plan);
    // Without its name, as it was explained.
    return typeof statement === 'string'
      ? client.query(statement, values)
      : client.query(statement.text, statement.values);
  };
  await work({ query } as unknown as Queries);
  return plans;
}

/** Plans under a heading, as lines of a page. */
export function fenced(name: string, plan: string[]): string[] {
  const lines = plan.filter((line) => !/^ *Index Searches/.test(line)).map((line) => line.slice(0, 160));
  return ['', `### ${name}`, '', '```', ...lines, '```'];
}
