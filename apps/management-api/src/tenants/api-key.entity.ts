import type { Permission } from '@posthaste/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { KeyScope } from '../access/api-key.js';
import type { EntityKind } from '../changes/changes.js';
import { raiseTenant } from '../changes/tenant-counter.js';

@Entity({ schema: 'config', name: 'api_key' })
export class ApiKeyRow {
  @PrimaryColumn('text') id: string;
  @Column('text') tenant: string;
  @Column('text') scope: KeyScope;
  @Column('text', { nullable: true }) account: string | null;
  /** Null: everything the scope can reach. */
  @Column('text', { array: true, nullable: true }) permissions: Permission[] | null;
  @Column('text') name: string;
  @Column('bytea') digest: Buffer;
  @Column('text') last4: string;
  @Column('int') version: number;
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt: Date;
  @Column('timestamptz', { name: 'expires_at', nullable: true }) expiresAt: Date | null;
  @Column('timestamptz', { name: 'revoked_at', nullable: true }) revokedAt: Date | null;
}

export const apiKeyKind: EntityKind<ApiKeyRow> = {
  name: 'api_key',
  target: ApiKeyRow,
  place: ({ tenant, account }) => ({ tenant, account }),
  raise: (manager, { tenant }) => raiseTenant(manager, tenant),
  // Neither the digest nor the last characters: a version row is for ever.
  state: ({ id, version, tenant, scope, account, permissions, name, expiresAt, revokedAt }) => ({
    id,
    version,
    tenant,
    scope,
    account,
    permissions,
    name,
    expiresAt: expiresAt?.getTime() ?? null,
    revoked: revokedAt !== null,
  }),
  published: () => null,
};
