import type pg from 'pg';

interface Plan {
  'Node Type': string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Plan[];
}

/** How a statement came by its rows. */
export interface HowRead {
  /** Of every step, such as `Seq Scan`. */
  scans: string[];
  /** That one of its steps saw. */
  mostRows: number;
  /** Of 8 KB, in memory or not; a page that is looked at twice counts twice. */
  pages: number;
}

/** Runs a statement, which may be the `execute` of a prepared one. */
export async function howRead(
  client: Pick<pg.ClientBase, 'query'>,
  statement: string,
  values: unknown[] = [],
): Promise<HowRead> {
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    `explain (analyze, buffers, format json) ${statement}`,
    values,
  );
  const plans = rows.map((row) => row['QUERY PLAN'][0].Plan);
  const steps = plans.flatMap(stepsOf);
  const seen = steps.map(
    (step) => (step['Actual Rows'] + (step['Rows Removed by Filter'] ?? 0)) * step['Actual Loops'],
  );
  return {
    scans: steps.map((step) => step['Node Type']),
    mostRows: Math.max(...seen),
    pages: plans.reduce((sum, plan) => sum + plan['Shared Hit Blocks'] + plan['Shared Read Blocks'], 0),
  };
}

function stepsOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(stepsOf)];
}
