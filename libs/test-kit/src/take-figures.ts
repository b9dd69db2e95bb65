import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type EmbeddedPostgresOptions, startTemporaryPostgres } from '@posthaste/local-stack';

/**
 * The frame of a program that `npm run bench -- --scenario name [--count n] [--out file]` runs: measures on a PostgreSQL
 * of its own with these settings, and writes the page that comes of it.
 */
export async function takeFigures(
  settings: NonNullable<EmbeddedPostgresOptions['settings']>,
  pageOf: (url: string, count: number) => Promise<string>,
): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      count: { type: 'string', default: '1000000' },
      out: { type: 'string' },
      scenario: { type: 'string' },
    },
  });
  const server = await startTemporaryPostgres('figures', settings);
  try {
    const page = await pageOf(server.url, Number(options.count));
    if (options.out === undefined) console.log(page);
    else writeFileSync(options.out, page);
  } finally {
    await server.remove();
  }
}
