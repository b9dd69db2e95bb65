import { lowestId, type PageRequest } from '@posthaste/contracts';
import { createLogger, migrate } from '@posthaste/runtime';
import { fenced, plansOf, takeFigures, timeRuns, type Times } from '@posthaste/test-kit';
import type pg from 'pg';
import { createReadsPool } from '../history/reads-pool.js';
import { listAccountAttempts } from '../history/sql/select-attempts.js';
import { listDeliveries } from '../history/sql/select-deliveries.js';
import { listMessages } from '../history/sql/select-messages.js';
import { getEndpointStats } from '../history/sql/select-stats.js';
import { historyMigrations } from '../migrations.js';
import { type FilledHistory, fillHistory } from './filled-history.js';
import { projectionFigures } from './projection-figures.js';

/**
 * npm run bench -- --scenario history-lists [--count 1000000] [--out docs/history-figures.md]
 *
 * Fills a PostgreSQL of its own over the real schema, times the first page of every list as the service reads it, and
 * writes what it measured with the plans of some; then what the projection pays for them. Needs 3 GB a million attempts.
 */
const RUNS = 20;

/** Whose plans are written down: one of each kind. */
const SHOWN = [
  ...['messages', 'messages, rare tag', 'messages, rare payload', 'messages, id prefix'],
  ...['deliveries', 'deliveries, rare endpoint', 'deliveries, exhausted', 'deliveries, rare error class'],
  ...['attempts', 'attempts, busy endpoint', 'attempts, rare event type', 'attempts, failed, of an endpoint'],
  "an endpoint's day in minutes",
];

interface Figure extends Times {
  name: string;
  rows: number;
  isCut: boolean;
  plan: string[];
}

const settings = { fsync: 'off', full_page_writes: 'off', maintenance_work_mem: '512MB' };
await takeFigures(settings, async (url, attempts) => {
  await migrate(url, 'history', historyMigrations);
  const { logger } = createLogger('list-figures', 'silent');
  const unhurried = { statement_timeout: '0' };
  const pool = createReadsPool({ url, max: 2, logger, settings: unhurried });
  const startedAt = performance.now();
  const filled = await fillHistory(pool, attempts, (line) => console.error(line));
  const fillSeconds = Math.round((performance.now() - startedAt) / 1_000);
  const { rows } = await pool.query<{ text: string }>(
    `select count(*)::text || ' attempts, ' || pg_size_pretty(pg_database_size(current_database())) as text
     from history.attempt`,
  );
  const figures: Figure[] = [];
  for (const [name, read] of firstPages(filled)) figures.push(await measure(pool, name, read));
  const cost = await projectionFigures(pool);
  await pool.end();
  return reportOf(attempts, `${rows[0]?.text}, filled in ${fillSeconds} s`, figures, cost);
});

type Read = (pool: pg.Pool) => Promise<{ data: unknown[]; reached_at?: number | undefined }>;

function firstPages({ tenant, account, endpoints, since, until }: FilledHistory): [string, Read][] {
  const page: PageRequest = { limit: 50 };
  const of = { tenant, account, page };
  const noon = since + 43_200_000;
  const hour = { since: noon, until: noon + 3_600_000 };
  const deep: PageRequest = { limit: 50, after_at: noon, after_id: '' };
  const prefix = (kind: 'message' | 'delivery' | 'attempt') => ({ id_prefix: lowestId(kind, noon) });
  const messages =
    (more: object): Read =>
    (pool) =>
      listMessages(pool, { ...of, ...more });
  const deliveries =
    (more: object): Read =>
    (pool) =>
      listDeliveries(pool, { ...of, ...more });
  const attemptsOf =
    (more: object): Read =>
    (pool) =>
      listAccountAttempts(pool, { ...of, ...more });
  const each = (name: string, list: (more: object) => Read, ids: object): [string, Read][] => [
    [`${name}`, list({})],
    [`${name}, a page in the middle`, list({ page: deep })],
    [`${name}, an hour`, list(hour)],
    [`${name}, event type`, list({ event_type: 'order.sent' })],
    [`${name}, rare event type`, list({ event_type: 'order.rare' })],
    [`${name}, channel`, list({ channel: 'orders' })],
    [`${name}, tag`, list({ tag: 'n3' })],
    [`${name}, rare tag`, list({ tag: 'rare' })],
    [`${name}, id prefix`, list(ids)],
  ];
  const perEndpoint = (name: string, list: (more: object) => Read): [string, Read][] => [
    [`${name}, busy endpoint`, list({ endpoint: endpoints.busy })],
    [`${name}, rare endpoint`, list({ endpoint: endpoints.rare })],
    [`${name}, error class`, list({ error_class: 'timeout' })],
    [`${name}, rare error class`, list({ error_class: 'dns' })],
    [`${name}, status code 503`, list({ status_code: 503 })],
    [`${name}, status code 204, which there is not`, list({ status_code: 204 })],
    [`${name}, endpoint and error class`, list({ endpoint: endpoints.usual, error_class: 'timeout' })],
  ];
  const stats: Read = (pool) => {
    const range = { since: Math.floor(since / 60_000), until: Math.ceil(until / 60_000), step: 1 };
    return getEndpointStats(pool, { tenant, endpoint: endpoints.busy, ...range });
  };
  return [
    ...each('messages', messages, prefix('message')),
    ['messages, payload', messages({ payload: { path: ['order', 'state'], value_json: '"paid"' } })],
    ['messages, rare payload', messages({ payload: { path: ['order', 'id'], value_json: '7' } })],
    ...each('deliveries', deliveries, prefix('delivery')),
    ...perEndpoint('deliveries', deliveries),
    ['deliveries, exhausted', deliveries({ status: 'exhausted' })],
    ['deliveries, pending, of which there are none', deliveries({ status: 'pending' })],
    ...each('attempts', attemptsOf, prefix('attempt')),
    ...perEndpoint('attempts', attemptsOf),
    ['attempts, failed', attemptsOf({ outcome: 'failed' })],
    ['attempts, failed, of an endpoint', attemptsOf({ outcome: 'failed', endpoint: endpoints.usual })],
    ["an endpoint's day in minutes", stats],
  ];
}

async function measure(pool: pg.Pool, name: string, read: Read): Promise<Figure> {
  const client = await pool.connect();
  const { last, ...times } = await timeRuns(client, RUNS, () => read(client as unknown as pg.Pool));
  client.release();
  const { firstMs, medianMs, serverMs } = times;
  console.error(
    `${name}: ${firstMs.toFixed(1)}, ${medianMs.toFixed(1)} ms, ${serverMs.toFixed(1)} of the server`,
  );
  const plan = await plansOf(pool, (explaining) => read(explaining as pg.Pool));
  return { name, rows: last?.data.length ?? 0, isCut: last?.reached_at !== undefined, ...times, plan };
}

function reportOf(attempts: number, what: string, figures: Figure[], cost: string[]): string {
  const row = ({ name, rows, isCut, firstMs, medianMs, worstMs, serverMs }: Figure): string =>
    `| ${name} | ${rows}${isCut ? ', goes on' : ''} | ${firstMs.toFixed(1)} | ${medianMs.toFixed(1)} | ${worstMs.toFixed(1)} | ${serverMs.toFixed(1)} |`;
  const plans = figures
    .filter(({ name }) => SHOWN.includes(name))
    .flatMap(({ name, plan }) => fenced(name, plan));
  return `${[
    '# How long the lists of the history take',
    '',
    `Taken with \`npm run bench -- --scenario history-lists --count ${attempts}\`: ${what}.`,
    '',
    'First pages of 50 rows, in ms: the first run, then the median and the worst of 19 more, and what the server spent of',
    'a processor for one (the first included).',
    '"Goes on" is a search that looked at all the rows a page looks at and says where it stopped.',
    '',
    '| list | rows | first | median | worst | processor |',
    '| --- | --- | --- | --- | --- | --- |',
    ...figures.map(row),
    '',
    ...cost,
    '',
    '## Plans',
    ...plans,
  ].join('\n')}\n`;
}
