import { createLogger, createPool, migrate } from '@posthaste/runtime';
import { takeFigures } from '@posthaste/test-kit';
import type pg from 'pg';
import { dueIndexMigrations, scheduleSettings } from '../due-index/index.js';
import { fillDueIndex } from './filled-due-index.js';
import { projectionFigures, setFullPages } from './projection-figures.js';
import { releaseFigures } from './release-figures.js';
import { swapFigures } from './swap-figures.js';

/**
 * npm run bench -- --scenario due-index [--count 1000000] [--out docs/due-index-figures.md]
 *
 * Fills a PostgreSQL of its own over the real schema with deliveries that are owed, and measures what retry-scheduler does
 * with them: its statements, releases, the projection, and the swap of a rebuild. Needs 1 GB a million.
 */
await takeFigures({ fsync: 'off', maintenance_work_mem: '512MB' }, async (url, count) => {
  await migrate(url, 'schedule', dueIndexMigrations);
  const { logger } = createLogger('due-figures', 'silent');
  const pools = { url, name: 'figures', logger };
  const unhurried = createPool({ ...pools, max: 2, settings: { statement_timeout: '0' } });
  // As the service has it, but for the time it gives a statement; one connection, whose processor time is what all took.
  const measured = createPool({
    ...pools,
    max: 1,
    settings: { ...scheduleSettings, statement_timeout: '0' },
  });
  const releasing = createPool({ ...pools, max: 1, settings: scheduleSettings });
  const startedAt = performance.now();
  await setFullPages(unhurried, 'off');
  const filled = await fillDueIndex(unhurried, count, (line) => console.error(line));
  const fillSeconds = Math.round((performance.now() - startedAt) / 1_000);
  const size = await sizes(unhurried, count);
  const released = await releaseFigures(measured, filled);
  const projected = await projectionFigures(measured, filled);
  const swapped = await swapFigures(url, { pool: unhurried, releasing, filled });
  const report = [
    '# What the due index takes at its size',
    '',
    `Taken with \`npm run bench -- --scenario due-index --count ${count}\`: ${count} deliveries owed, filled in ${fillSeconds} s.`,
    '',
    ...size,
    '',
    ...released.lines,
    '',
    ...projected,
    '',
    ...swapped.lines,
    '',
    '## Plans',
    ...released.plans,
    ...swapped.plans,
  ];
  await Promise.all([unhurried.end(), measured.end(), releasing.end()]);
  return `${report.join('\n')}\n`;
});

async function sizes(pool: pg.Pool, count: number): Promise<string[]> {
  const { rows } = await pool.query<{ name: string; size: string; each: number }>(
    `select relname as name, pg_size_pretty(pg_relation_size(oid)) as size,
       round(pg_relation_size(oid)::numeric / $1)::float as each
     from pg_class where relnamespace = 'schedule'::regnamespace and relname ~ '^due|^parked|^released'
     order by relkind = 'r' desc, relname`,
    [count],
  );
  return [
    '| on the disk | | bytes a delivery |',
    '| --- | --- | --- |',
    ...rows.map(({ name, size, each }) => `| \`${name}\` | ${size} | ${each} |`),
  ];
}
