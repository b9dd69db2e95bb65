import { Column, Entity, PrimaryColumn } from 'typeorm';
import { raiseAccount } from '../changes/account-counter.js';
import type { EntityKind } from '../changes/changes.js';
import { asNumber } from '../changes/columns.js';
import { settleMonitoring, tellConnections } from '../usage/monitoring.js';
import type { SealedHeaders } from './source-headers.js';

@Entity({ schema: 'config', name: 'source' })
export class SourceRow {
  @PrimaryColumn('text') id: string;
  @Column('text') tenant: string;
  @Column('text') account: string;
  @Column('int') version: number;
  @Column('bigint', { name: 'config_version', transformer: asNumber }) configVersion: number;
  @Column('text') url: string;
  @Column('text', { name: 'sync_url', nullable: true }) syncUrl: string | null;
  @Column('text', { name: 'header_names', array: true }) headerNames: string[];
  @Column('jsonb', { nullable: true }) headers: SealedHeaders | null;
  /** Another one with every URL: ids and positions of one stream say nothing about the next. */
  @Column('text') stream: string;
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt: Date;
  @Column('timestamptz', { name: 'deleted_at', nullable: true }) deletedAt: Date | null;
}

export const sourceKind: EntityKind<SourceRow> = {
  name: 'source',
  target: SourceRow,
  place: ({ tenant, account }) => ({ tenant, account }),
  raise: async (manager, row) => {
    row.configVersion = await raiseAccount(manager, row.account);
    return row.configVersion;
  },
  // Version rows are for ever: they tell which headers there were, and nothing that opens.
  state: ({ id, version, tenant, account, url, syncUrl, headerNames, headers, deletedAt }) => ({
    id,
    version,
    tenant,
    account,
    url,
    syncUrl,
    headerNames,
    headers: headers && { id: headers.id },
    deleted: deletedAt !== null,
  }),
  published: () => null,
  follow: async (draft, row, changed) => {
    await settleMonitoring(draft, row, changed === null);
    await tellConnections(draft.manager);
  },
};
