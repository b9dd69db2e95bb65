import { CreateTenant, isId, newId, type PageQuery, PatchTenant, type Tenant } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { Vault } from '@posthaste/vault';
import { type DataSource, type EntityManager, IsNull } from 'typeorm';
import type { z } from 'zod';
import { AccountRow } from '../accounts/account.entity.js';
import { removeAccount } from '../accounts/accounts.js';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';
import type { Cursors, Page } from '../http/cursors.js';
import { requireMatch } from '../http/if-match.js';
import { listPage } from '../http/listing.js';
import { changedFields } from '../http/merge-patch.js';
import { absent } from '../http/refusals.js';
import { tenantKind, TenantRow } from './tenant.entity.js';

/** One transaction deletes a tenant whole; above this it would hold its locks for too long. */
const MOST_ACCOUNTS_DELETED = 1_000;

/** The isolation boundaries, for the operator. */
export class Tenants {
  constructor(
    private readonly database: DataSource,
    private readonly changes: Changes,
    private readonly cursors: Cursors,
    private readonly vault: Vault,
  ) {}

  async get(id: string): Promise<TenantRow> {
    return findTenant(this.database.manager, id);
  }

  async list(page: PageQuery): Promise<Page<Tenant>> {
    return listPage(
      this.cursors,
      this.database.manager,
      {
        rows: TenantRow,
        list: { tenant: 'operator', route: 'tenants' },
        where: { deletedAt: IsNull() },
        view: tenantView,
      },
      page,
    );
  }

  async create(author: Author, input: z.infer<typeof CreateTenant>): Promise<TenantRow> {
    return this.changes.make(author, async (draft) => {
      const id = newId('tenant', draft.at.getTime());
      const row = Object.assign(new TenantRow(), {
        id,
        version: 0,
        configVersion: 0,
        name: input.name,
        eventTypePolicy: input.event_type_policy,
        monitoringCredits: null,
        retentionDays: input.retention_days,
        dataKeys: [this.vault.newDataKey(id)],
        createdAt: draft.at,
        deletedAt: null,
      });
      await draft.write(tenantKind, row, 'tenant.created', Object.keys(input));
      return row;
    });
  }

  async patch(
    author: Author,
    id: string,
    patch: z.infer<typeof PatchTenant>,
    ifMatch?: string,
  ): Promise<TenantRow> {
    return this.changes.make(author, async (draft) => {
      const row = await findTenant(draft.manager, id, true);
      requireMatch(ifMatch, row.version);
      const changed = changedFields(tenantView(row), patch);
      row.name = patch.name ?? row.name;
      row.eventTypePolicy = patch.event_type_policy ?? row.eventTypePolicy;
      if (patch.monitoring_credits !== undefined) row.monitoringCredits = patch.monitoring_credits;
      if (patch.retention_days !== undefined) row.retentionDays = patch.retention_days;
      await draft.write(tenantKind, row, 'tenant.updated', changed);
      return row;
    });
  }

  /**
   * Deletes the tenant with its accounts and endpoints, and destroys its data keys: its keys and secrets are dead.
   * audit-log hears of it, and shreds the payloads of its history.
   */
  async remove(author: Author, id: string, ifMatch?: string): Promise<void> {
    await this.changes.make(author, async (draft) => {
      const row = await findTenant(draft.manager, id, true);
      requireMatch(ifMatch, row.version);
      const accounts = await draft.manager.find(AccountRow, {
        where: { tenant: id, deletedAt: IsNull() },
        order: { id: 'ASC' },
        take: MOST_ACCOUNTS_DELETED + 1,
        lock: { mode: 'for_no_key_update' },
      });
      if (accounts.length > MOST_ACCOUNTS_DELETED) {
        throw new Problem(
          'conflict',
          `Delete accounts first: at most ${MOST_ACCOUNTS_DELETED} go with a tenant.`,
          [{ pointer: ':tenant', code: 'too_many', message: 'has too many accounts' }],
        );
      }
      for (const account of accounts) await removeAccount(draft, account);
      row.deletedAt = draft.at;
      row.dataKeys = [];
      await draft.write(tenantKind, row, 'tenant.deleted', ['deleted']);
    });
  }
}

export async function findTenant(manager: EntityManager, id: string, lock = false): Promise<TenantRow> {
  const row = isId('tenant', id)
    ? await manager.findOne(TenantRow, {
        where: { id, deletedAt: IsNull() },
        ...(lock ? { lock: { mode: 'for_no_key_update' } } : {}),
      })
    : null;
  if (!row) throw absent('tenant', ':tenant');
  return row;
}

export function tenantView(row: TenantRow): Tenant {
  return {
    id: row.id,
    name: row.name,
    event_type_policy: row.eventTypePolicy,
    monitoring_credits: row.monitoringCredits,
    retention_days: row.retentionDays,
    version: row.version,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
