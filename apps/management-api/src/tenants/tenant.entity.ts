import type { TenantState, WrappedKey } from '@posthaste/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { EntityKind } from '../changes/changes.js';
import { asNumber } from '../changes/columns.js';
import { resumeMonitoring } from '../usage/credit-limit.js';

@Entity({ schema: 'config', name: 'tenant' })
export class TenantRow {
  @PrimaryColumn('text') id: string;
  @Column('int') version: number;
  @Column('bigint', { name: 'config_version', transformer: asNumber }) configVersion: number;
  @Column('text') name: string;
  @Column('text', { name: 'event_type_policy' }) eventTypePolicy: 'any' | 'known';
  /** Null: without limit. */
  @Column('double precision', { name: 'monitoring_credits', nullable: true }) monitoringCredits:
    number | null;
  /** Null: what the installation keeps. */
  @Column('int', { name: 'retention_days', nullable: true }) retentionDays: number | null;
  /** Wrapped, the newest first. Emptied when the tenant is deleted: nothing it sealed opens any more. */
  @Column('jsonb', { name: 'data_keys' }) dataKeys: WrappedKey[];
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt: Date;
  @Column('timestamptz', { name: 'deleted_at', nullable: true }) deletedAt: Date | null;
}

export const tenantKind: EntityKind<TenantRow> = {
  name: 'tenant',
  target: TenantRow,
  place: ({ id }) => ({ tenant: id, account: null }),
  raise: (_, row) => Promise.resolve(++row.configVersion),
  // Version rows are never edited, so the data keys must not be in them: deleting a tenant destroys its keys.
  state: ({ id, version, name, eventTypePolicy, monitoringCredits, retentionDays, deletedAt }) => ({
    id,
    version,
    name,
    eventTypePolicy,
    monitoringCredits,
    retentionDays,
    deleted: deletedAt !== null,
  }),
  published: ({ id, version, name, dataKeys, retentionDays, deletedAt }): TenantState => ({
    kind: 'tenant',
    id,
    version,
    deleted: deletedAt !== null,
    name,
    dataKeys,
    retentionDays,
  }),
  follow: async (draft, { id }, changed) => {
    if (changed?.includes('monitoring_credits')) await resumeMonitoring(draft, id);
  },
};
