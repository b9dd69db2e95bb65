import { type ApiKey, CreateKey, isId, type PageQuery } from '@posthaste/contracts';
import type { DataSource, EntityManager } from 'typeorm';
import type { z } from 'zod';
import { findAccountOrNull } from '../accounts/accounts.js';
import { keyDigest, newKey } from '../access/api-key.js';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';
import type { Cursors, Page } from '../http/cursors.js';
import { listPage } from '../http/listing.js';
import { absent, fieldProblem } from '../http/refusals.js';
import { apiKeyKind, ApiKeyRow } from './api-key.entity.js';
import { findTenant } from './tenants.js';

/** The keys of a tenant and of its accounts. Any number may be live, so that a key can be replaced without a gap. */
export class Keys {
  constructor(
    private readonly database: DataSource,
    private readonly changes: Changes,
    private readonly cursors: Cursors,
    private readonly pepper: string,
  ) {}

  async list(tenant: string, page: PageQuery): Promise<Page<ApiKey>> {
    await findTenant(this.database.manager, tenant);
    return listPage(
      this.cursors,
      this.database.manager,
      {
        rows: ApiKeyRow,
        list: { tenant, route: 'keys' },
        where: { tenant },
        view: keyView,
      },
      page,
    );
  }

  async get(tenant: string, id: string): Promise<ApiKeyRow> {
    await findTenant(this.database.manager, tenant);
    return findKey(this.database.manager, tenant, id);
  }

  /** Answers the key's text too: it is kept nowhere. */
  async create(
    author: Author,
    tenant: string,
    input: z.infer<typeof CreateKey>,
  ): Promise<{ row: ApiKeyRow; text: string }> {
    return this.changes.make(author, async (draft) => {
      await findTenant(draft.manager, tenant, true);
      const account =
        input.account === undefined ? null : await accountOf(draft.manager, tenant, input.account);
      const { id, text } = newKey(input.scope);
      const row = Object.assign(new ApiKeyRow(), {
        id,
        tenant,
        scope: input.scope,
        account,
        permissions: input.permissions ?? null,
        name: input.name,
        digest: keyDigest(this.pepper, text),
        last4: text.slice(-4),
        version: 0,
        createdAt: draft.at,
        expiresAt: input.expires_at === undefined ? null : new Date(input.expires_at),
        revokedAt: null,
      });
      await draft.write(apiKeyKind, row, 'api_key.created', Object.keys(input));
      return { row, text };
    });
  }

  /** From the commit on the key opens nothing. Revoking it again changes nothing. */
  async revoke(author: Author, tenant: string, id: string): Promise<void> {
    await this.changes.make(author, async (draft) => {
      await findTenant(draft.manager, tenant, true);
      const row = await findKey(draft.manager, tenant, id);
      const changed = row.revokedAt === null ? ['revoked_at'] : [];
      row.revokedAt ??= draft.at;
      await draft.write(apiKeyKind, row, 'api_key.revoked', changed);
    });
  }
}

async function findKey(manager: EntityManager, tenant: string, id: string): Promise<ApiKeyRow> {
  const row = isId('key', id) ? await manager.findOneBy(ApiKeyRow, { tenant, id }) : null;
  if (!row) throw absent('key', ':key');
  return row;
}

async function accountOf(manager: EntityManager, tenant: string, ref: string): Promise<string> {
  const account = await findAccountOrNull(manager, { tenant, account: null }, ref);
  if (account) return account.id;
  const message = 'names no account of this tenant';
  throw fieldProblem([{ pointer: '/account', code: 'unknown_account', message }]);
}

export function keyView(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    scope: row.scope,
    account: row.account,
    name: row.name,
    permissions: row.permissions,
    last4: row.last4,
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt?.toISOString() ?? null,
    revoked_at: row.revokedAt?.toISOString() ?? null,
  };
}
