import type pg from 'pg';

interface Plan {
  'Node Type': string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: Plan[];
}

/** Lets a read run, and tells of each of its statements how it read and the most rows that one of its steps saw. */
export async function explained(
  pool: pg.Pool,
  read: (pool: pg.Pool) => Promise<unknown>,
): Promise<{ scans: string[]; mostRows: number }[]> {
  const found: { scans: string[]; mostRows: number }[] = [];
  const query = async (statement: string | { text: string; values: unknown[] }, values?: unknown[]) => {
    const asked = typeof statement === 'string' ? { text: statement, values: values ?? [] } : statement;
    const { rows } = await pool.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `explain (analyze, format json) ${asked.text}`,
      asked.values,
    );
    const nodes: Plan[] = [];
    const visit = (plan: Plan): void => {
      nodes.push(plan);
      plan.Plans?.forEach(visit);
    };
    for (const row of rows) visit(row['QUERY PLAN'][0].Plan);
    const seen = nodes.map(
      (node) => (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
    );
    found.push({ scans: nodes.map((node) => node['Node Type']), mostRows: Math.max(...seen) });
    return pool.query(asked.text, asked.values);
  };
  await read({ query } as unknown as pg.Pool);
  return found;
}
