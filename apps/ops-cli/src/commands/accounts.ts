import type { Account, Endpoint } from '@posthaste/contracts';
import type { Api, Page } from '../api.js';
import type { Command, Context, Given } from '../command.js';
import { Failure } from '../failure.js';
import type { Answer, Cell } from '../output.js';
import { wholeNumber } from '../quantities.js';

const MOST_NAMED = 10;
const DEFAULT_ROWS = 20;
const MOST_ROWS = 10_000;

export const accounts: Command = {
  name: 'accounts',
  says: 'list the accounts, newest first',
  options: ['limit', 'cursor'],
  run: async (given, context) => {
    const page = await context.api().list<Account>('/v1/accounts', pageOf(given));
    return listAnswer(page, ['uid', 'id', 'name', 'created'], ({ uid, id, name, created_at }) => [
      uid,
      id,
      name,
      created_at,
    ]);
  },
};

/** Which account a list is about; without a name the only one there is. */
export async function accountPath(given: Given, context: Context): Promise<string> {
  const named = given.options.account ?? context.target().account;
  return `/v1/accounts/${encodeURIComponent(named ?? (await onlyAccount(context.api())))}`;
}

async function onlyAccount(api: Api): Promise<string> {
  const { data, has_more } = await api.list<Account>('/v1/accounts', { limit: MOST_NAMED });
  const [first, ...others] = data;
  if (first === undefined) throw new Failure('not_found', 'there is no account yet');
  if (others.length === 0) return first.uid;
  const names = data.map(({ uid }) => uid).join(', ') + (has_more ? ', ...' : '');
  throw new Failure('usage', 'which account? There is more than one', { hint: `--account one of: ${names}` });
}

export async function endpointsOf(api: Api, path: string, limit = MOST_ROWS): Promise<Page<Endpoint>> {
  return api.list<Endpoint>(`${path}/endpoints`, { limit });
}

export function pageOf({ options: { limit, cursor } }: Given): { limit: number; cursor: string | undefined } {
  return { limit: limit === undefined ? DEFAULT_ROWS : wholeNumber('limit', limit, 1, MOST_ROWS), cursor };
}

export function listAnswer<T>(
  page: Page<T>,
  titles: string[],
  cells: (row: T) => Cell[],
): Answer & { kind: 'data' } {
  const more = page.has_more && page.next_cursor !== null;
  return {
    kind: 'data',
    json: page,
    blocks: [{ titles, rows: page.data.map(cells) }],
    ...(more ? { note: `there are more: --cursor ${page.next_cursor}` } : {}),
  };
}
