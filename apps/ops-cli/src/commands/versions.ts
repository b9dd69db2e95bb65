import type { EndpointVersion } from '@posthaste/contracts';
import type { Command } from '../command.js';
import { Failure } from '../failure.js';
import type { Cell } from '../output.js';
import { wholeNumber } from '../quantities.js';
import { listAnswer, pageOf } from './accounts.js';

const MOST_VERSIONS = 10_000;
const pathOf = (id: string): string => `/v1/endpoints/${encodeURIComponent(id)}/versions`;

const list: Command = {
  name: 'endpoints versions',
  says: 'list who changed what of an endpoint, newest first',
  takes: { words: '<id>', least: 1, most: 1 },
  options: ['limit', 'cursor'],
  run: async (given, context) => {
    const page = await context.api().list<EndpointVersion>(pathOf(given.words[0] ?? ''), pageOf(given));
    const titles = ['version', 'at', 'action', 'by', 'from', 'changed'];
    return listAnswer(page, titles, ({ version, at, action, actor, from, changed }) => [
      version,
      at,
      action,
      actor,
      from || null,
      changed.map(({ field }) => field).join(', ') || null,
    ]);
  },
};

interface Difference {
  field: string;
  before?: unknown;
  after?: unknown;
  /** That it changed is all that is told. */
  secret: boolean;
  by: string;
  at: string;
}

const diff: Command = {
  name: 'endpoints diff',
  says: 'say what is different between two versions of an endpoint, and who made it so',
  takes: { words: '<id>', least: 1, most: 1 },
  options: ['from', 'to'],
  run: async ({ words: [id = ''], options }, context) => {
    const all = await context.api().list<EndpointVersion>(pathOf(id), { limit: MOST_VERSIONS });
    const latest = all.data[0]?.version ?? 1;
    const to = options.to === undefined ? latest : wholeNumber('to', options.to, 1, latest);
    const from = options.from === undefined ? to - 1 : wholeNumber('from', options.from, 0, latest);
    if (from >= to) throw new Failure('usage', `--from ${from} is not before --to ${to}`);
    const differences = differencesIn(
      all.data.filter(({ version }) => version > from && version <= to).reverse(),
    );
    return {
      kind: 'data',
      json: { from, to, differences },
      blocks: [
        {
          titles: ['field', `version ${from}`, `version ${to}`, 'last changed', 'by'],
          rows: differences.map(({ field, before, after, secret, at, by }): Cell[] => [
            field,
            secret ? '(secret)' : textOf(before),
            secret ? '(changed)' : textOf(after),
            at,
            by,
          ]),
        },
      ],
    };
  },
};

export const versions = [list, diff];

/** Of versions, the oldest first: a field that came back to what it was is no difference. */
function differencesIn(versions: EndpointVersion[]): Difference[] {
  const found = new Map<string, Difference>();
  for (const { changed, at, actor } of versions) {
    for (const change of changed) {
      const { field } = change;
      const secret = !('before' in change) && !('after' in change);
      const before = found.has(field) ? found.get(field)?.before : change.before;
      found.set(field, { field, before, after: change.after, secret, at, by: actor });
    }
  }
  return [...found.values()].filter(
    ({ secret, before, after }) => secret || textOf(before) !== textOf(after),
  );
}

const textOf = (value: unknown): string | null =>
  value === undefined ? null : typeof value === 'string' ? value : JSON.stringify(value);
