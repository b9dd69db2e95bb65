import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startHistoryBed } from '../../proving/history-bed.js';
import { historyProjection } from '../history.projection.js';
import { foldGolden } from './fold-golden.js';
import { histories } from './histories.js';

/**
 * Records the golden histories that are not recorded yet: their records, and the rows this version folds them into.
 *
 *   node --experimental-transform-types --import ./tools/typescript-sources.mjs \
 *     apps/audit-log/src/history/golden/record.main.ts
 *
 * One that is recorded is never written again: should a later version mean other rows by the same records, its file is
 * deleted by hand first, and whoever does so says why.
 */
const bed = await startHistoryBed();
try {
  const projection = historyProjection(bed.pool, () => undefined);
  for (const [name, records] of Object.entries(histories)) {
    const file = path.join(import.meta.dirname, `${name}.json`);
    if (existsSync(file)) continue;
    const rows = await foldGolden(bed.pool, projection, records, records.length);
    writeFileSync(file, `${JSON.stringify({ records, rows }, null, 2)}\n`);
    process.stdout.write(`recorded ${name}\n`);
  }
} finally {
  await bed.stop();
}
