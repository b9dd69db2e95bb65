import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type HistoryBed, startHistoryBed } from '../../proving/history-bed.js';
import { historyProjection } from '../history.projection.js';
import { foldGolden, type GoldenRows } from './fold-golden.js';
import { type GoldenRecord, histories } from './histories.js';

/** The first release's file is of another form, and read by the projection's own spec. */
const files = readdirSync(import.meta.dirname).filter(
  (name) => name.endsWith('.json') && name !== 'first-release.json',
);
let bed: HistoryBed;
beforeAll(async () => {
  bed = await startHistoryBed();
}, 60_000);
afterAll(() => bed.stop());

/** A row as it was recorded: without the columns that were added since. */
function asRecorded(found: GoldenRows, recorded: GoldenRows): GoldenRows {
  const tables = Object.entries(recorded).map(([table, rows]): [string, Record<string, unknown>[]] => {
    const columns = Object.keys(rows[0] ?? {});
    const kept = (row: Record<string, unknown>) =>
      Object.fromEntries(Object.entries(row).filter(([name]) => columns.includes(name)));
    return [table, (found[table] ?? []).map(kept)];
  });
  return Object.fromEntries(tables);
}

const sorted = (rows: GoldenRows): GoldenRows =>
  Object.fromEntries(
    Object.entries(rows).map(([table, list]) => [
      table,
      list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
    ]),
  );

describe('golden histories', () => {
  it('are recorded, every one', () => {
    expect(files.sort()).toEqual(
      Object.keys(histories)
        .map((name) => `${name}.json`)
        .sort(),
    );
  });

  it.each(files)(
    '%s is folded to the same rows as when it was recorded, in one batch and in many',
    async (file) => {
      const { records, rows } = JSON.parse(readFileSync(path.join(import.meta.dirname, file), 'utf8')) as {
        records: GoldenRecord[];
        rows: GoldenRows;
      };
      const projection = historyProjection(bed.pool, () => undefined);
      for (const batchRecords of [records.length, 1]) {
        const found = await foldGolden(bed.pool, projection, records, batchRecords);
        expect(sorted(asRecorded(found, rows))).toEqual(sorted(rows));
      }
    },
  );
});
