import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { EntityKind } from '../changes/changes.js';
import { asNumber } from '../changes/columns.js';

@Entity({ schema: 'config', name: 'account' })
export class AccountRow {
  @PrimaryColumn('text') id: string;
  @Column('text') tenant: string;
  @Column('text') uid: string;
  @Column('int') version: number;
  /** Also raised by every change of one of its endpoints. */
  @Column('bigint', { name: 'config_version', transformer: asNumber }) configVersion: number;
  @Column('text') name: string;
  @Column('boolean', { name: 'receives_operator_events' }) receivesOperatorEvents: boolean;
  @Column('jsonb') metadata: Record<string, string>;
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt: Date;
  @Column('timestamptz', { name: 'deleted_at', nullable: true }) deletedAt: Date | null;
}

export const accountKind: EntityKind<AccountRow> = {
  name: 'account',
  target: AccountRow,
  place: ({ id, tenant }) => ({ tenant, account: id }),
  raise: (_, row) => Promise.resolve(++row.configVersion),
  state: ({ id, version, tenant, uid, name, receivesOperatorEvents, metadata, deletedAt }) => ({
    id,
    version,
    tenant,
    uid,
    name,
    receivesOperatorEvents,
    metadata,
    deleted: deletedAt !== null,
  }),
  published: () => null,
};
