import {
  type Account,
  isId,
  newId,
  type PageQuery,
  PatchAccount,
  PutAccount,
  UID_PATTERN,
} from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { type DataSource, type EntityManager, IsNull } from 'typeorm';
import type { z } from 'zod';
import type { Author, Reach } from '../access/principal.js';
import { type Changes, type Draft, isTaken } from '../changes/changes.js';
import { endpointKind, EndpointRow } from '../endpoints/endpoint.entity.js';
import type { Cursors, Page } from '../http/cursors.js';
import { requireMatch } from '../http/if-match.js';
import { listPage } from '../http/listing.js';
import { changedFields, mergePatch } from '../http/merge-patch.js';
import { absent } from '../http/refusals.js';
import { removeSource } from '../sources/remove-source.js';
import { checked } from '../http/validate.js';
import { accountKind, AccountRow } from './account.entity.js';

/** The customers of a tenant. An account is named by the tenant's own uid or by our id, wherever one is asked for. */
export class Accounts {
  constructor(
    private readonly database: DataSource,
    private readonly changes: Changes,
    private readonly cursors: Cursors,
  ) {}

  async get(reach: Reach, ref: string): Promise<AccountRow> {
    return findAccount(this.database.manager, reach, ref);
  }

  /** Null for a foreign or absent one. */
  async find(reach: Reach, ref: string): Promise<AccountRow | null> {
    return findAccountOrNull(this.database.manager, reach, ref);
  }

  async list(reach: Reach, page: PageQuery): Promise<Page<Account>> {
    return listPage(
      this.cursors,
      this.database.manager,
      {
        rows: AccountRow,
        list: { tenant: reach.tenant, route: 'accounts' },
        where: { tenant: reach.tenant, deletedAt: IsNull() },
        view: accountView,
      },
      page,
    );
  }

  /** Creates the account, or replaces what it says; repeating it changes nothing. */
  async put(
    author: Author,
    reach: Reach,
    ref: string,
    input: PutAccount,
    ifMatch?: string,
  ): Promise<{ row: AccountRow; created: boolean }> {
    const attempt = () =>
      this.changes.make(author, async (draft) => {
        const found = await findAccountOrNull(draft.manager, reach, ref, true);
        if (found) {
          requireMatch(ifMatch, found.version);
          return { row: await update(draft, found, input), created: false };
        }
        if (isId('account', ref)) throw absent('account', ':account');
        if (ifMatch !== undefined) throw new Problem('precondition_failed', 'There is no such account yet.');
        return { row: await create(draft, reach.tenant, ref, input), created: true };
      });
    try {
      return await attempt();
    } catch (error) {
      // Another request created it in the same moment: now it is there to be replaced.
      if (isTaken(error)) return attempt();
      throw error;
    }
  }

  async patch(
    author: Author,
    reach: Reach,
    ref: string,
    patch: z.infer<typeof PatchAccount>,
    ifMatch?: string,
  ): Promise<AccountRow> {
    return this.changes.make(author, async (draft) => {
      const row = await findAccount(draft.manager, reach, ref, true);
      requireMatch(ifMatch, row.version);
      const merged = checked(PutAccount, {
        name: patch.name === undefined ? row.name : (patch.name ?? ''),
        receives_operator_events:
          patch.receives_operator_events === undefined
            ? row.receivesOperatorEvents
            : (patch.receives_operator_events ?? false),
        metadata: patch.metadata === null ? {} : mergePatch(row.metadata, patch.metadata ?? {}),
      });
      return update(draft, row, merged);
    });
  }

  /** Deletes the account and, each with its own version, all its endpoints and its source. */
  async remove(author: Author, reach: Reach, ref: string, ifMatch?: string): Promise<void> {
    await this.changes.make(author, async (draft) => {
      const row = await findAccount(draft.manager, reach, ref, true);
      requireMatch(ifMatch, row.version);
      await removeAccount(draft, row);
    });
  }
}

/** For a draft that holds the account's lock. */
export async function removeAccount(draft: Draft, account: AccountRow): Promise<void> {
  const endpoints = await draft.manager.findBy(EndpointRow, { account: account.id, deletedAt: IsNull() });
  for (const endpoint of endpoints) {
    endpoint.deletedAt = draft.at;
    endpoint.secrets = [];
    await draft.write(endpointKind, endpoint, 'endpoint.deleted', ['deleted']);
  }
  const hadSource = await removeSource(draft, account.id);
  // Each of them raised the counter in the row; the copy at hand has to follow.
  account.configVersion += endpoints.length + (hadSource ? 1 : 0);
  account.deletedAt = draft.at;
  await draft.write(accountKind, account, 'account.deleted', ['deleted']);
}

/** The account within reach, locked for a change when asked; `not_found` for a foreign or absent one alike. */
export async function findAccount(
  manager: EntityManager,
  reach: Reach,
  ref: string,
  lock = false,
): Promise<AccountRow> {
  const row = await findAccountOrNull(manager, reach, ref, lock);
  if (!row) throw absent('account', ':account');
  return row;
}

/** The same; null for a foreign or absent one. */
export async function findAccountOrNull(
  manager: EntityManager,
  { tenant, account }: Reach,
  ref: string,
  lock = false,
): Promise<AccountRow | null> {
  if (!UID_PATTERN.test(ref)) return null;
  const row = await manager.findOne(AccountRow, {
    where: { tenant, deletedAt: IsNull(), ...(isId('account', ref) ? { id: ref } : { uid: ref }) },
    ...(lock ? { lock: { mode: 'for_no_key_update' } } : {}),
  });
  return row && (account === null || account === row.id) ? row : null;
}

export function accountView(row: AccountRow): Account {
  return {
    id: row.id,
    uid: row.uid,
    ...toInput(row),
    version: row.version,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

async function create(draft: Draft, tenant: string, uid: string, input: PutAccount): Promise<AccountRow> {
  // Holds off the tenant's deletion, which would otherwise miss this account.
  const [live] = await draft.manager.query<unknown[]>(
    'select 1 from config.tenant where id = $1 and deleted_at is null for share',
    [tenant],
  );
  if (!live) throw absent('account', ':account');
  const row = Object.assign(new AccountRow(), {
    id: newId('account', draft.at.getTime()),
    tenant,
    uid,
    version: 0,
    configVersion: 0,
    ...toColumns(input),
    createdAt: draft.at,
    updatedAt: draft.at,
    deletedAt: null,
  });
  await draft.write(accountKind, row, 'account.created', ['uid', ...Object.keys(input)]);
  return row;
}

async function update(draft: Draft, row: AccountRow, input: PutAccount): Promise<AccountRow> {
  const changed = changedFields(toInput(row), input);
  Object.assign(row, toColumns(input));
  await draft.write(accountKind, row, 'account.updated', changed);
  return row;
}

function toColumns({ receives_operator_events: receivesOperatorEvents, ...rest }: PutAccount) {
  return { ...rest, receivesOperatorEvents };
}

function toInput({ name, receivesOperatorEvents, metadata }: AccountRow): PutAccount {
  return { name, receives_operator_events: receivesOperatorEvents, metadata };
}
