import {
  type ClientCertificate,
  type EndpointMode,
  type EndpointState,
  type OAuthClient,
  type OnExhausted,
  type Ordering,
  type RateLimit,
  type RetryPolicy,
  type SealedSecret,
  type WireProfile,
} from '@posthaste/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { EntityKind } from '../changes/changes.js';
import { raiseAccount } from '../changes/account-counter.js';
import { asNumber } from '../changes/columns.js';
import { settleMonitoring } from '../usage/monitoring.js';
import { withoutSeals } from './oauth-client.js';

@Entity({ schema: 'config', name: 'endpoint' })
export class EndpointRow {
  @PrimaryColumn('text') id: string;
  @Column('text') tenant: string;
  @Column('text') account: string;
  @Column('text', { nullable: true }) uid: string | null;
  @Column('int') version: number;
  @Column('bigint', { name: 'config_version', transformer: asNumber }) configVersion: number;
  @Column('text') url: string;
  @Column('text') description: string;
  @Column('boolean') enabled: boolean;
  @Column('text', { name: 'disabled_reason', nullable: true }) disabledReason: string | null;
  /** Since when it is not enabled. */
  @Column('timestamptz', { name: 'disabled_at', nullable: true }) disabledAt: Date | null;
  @Column('text') mode: EndpointMode;
  @Column('text') profile: WireProfile;
  @Column('text', { array: true, nullable: true }) include: string[] | null;
  @Column('text', { name: 'event_types', array: true }) eventTypes: string[];
  @Column('text', { array: true }) channels: string[];
  @Column('jsonb') headers: Record<string, string>;
  @Column('jsonb', { name: 'retry_policy' }) retryPolicy: RetryPolicy;
  @Column('real', { name: 'timeout_seconds' }) timeoutSeconds: number;
  @Column('jsonb', { name: 'rate_limit', nullable: true }) rateLimit: RateLimit | null;
  @Column('text') ordering: Ordering;
  @Column('text', { name: 'on_exhausted' }) onExhausted: OnExhausted;
  @Column('jsonb', { nullable: true }) oauth: OAuthClient | null;
  @Column('jsonb', { name: 'client_certificate', nullable: true })
  clientCertificate: ClientCertificate | null;
  @Column('text', { name: 'shadow_url', nullable: true }) shadowUrl: string | null;
  @Column('boolean', { name: 'auto_disable' }) autoDisable: boolean;
  /** Failures before it count for nothing: it was switched on again then, or got another URL. */
  @Column('timestamptz', { name: 'health_since', nullable: true }) healthSince: Date | null;
  @Column('jsonb') metadata: Record<string, string>;
  /** Sealed, the newest first. */
  @Column('jsonb') secrets: SealedSecret[];
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt: Date;
  @Column('timestamptz', { name: 'deleted_at', nullable: true }) deletedAt: Date | null;
}

export const endpointKind: EntityKind<EndpointRow> = {
  name: 'endpoint',
  target: EndpointRow,
  place: ({ tenant, account }) => ({ tenant, account }),
  raise: async (manager, row) => {
    // Here, since whatever switches it off or on comes by.
    row.disabledAt = row.enabled ? null : (row.disabledAt ?? row.updatedAt);
    row.configVersion = await raiseAccount(manager, row.account);
    return row.configVersion;
  },
  state: (row) => ({
    ...published(row),
    // Version rows are for ever, and a secret that was retired must not be: they tell which there were, and no more.
    secrets: row.secrets.map(({ sealed: _, ...rest }) => rest),
    oauth: row.oauth && withoutSeals(row.oauth),
    clientCertificate: row.clientCertificate && { chain: row.clientCertificate.chain },
    uid: row.uid,
    description: row.description,
    autoDisable: row.autoDisable,
    metadata: row.metadata,
    disabledReason: row.disabledReason,
    disabledAt: row.disabledAt,
  }),
  published,
  follow: (draft, row, changed) =>
    settleMonitoring(draft, row, row.enabled && (changed === null || changed.includes('enabled'))),
};

function published(row: EndpointRow): EndpointState {
  return {
    kind: 'endpoint',
    id: row.id,
    version: row.version,
    deleted: row.deletedAt !== null,
    tenant: row.tenant,
    account: row.account,
    config: row.configVersion,
    mode: row.mode,
    url: row.url,
    enabled: row.enabled,
    profile: row.profile,
    include: row.include,
    eventTypes: row.eventTypes,
    channels: row.channels,
    headers: row.headers,
    retryPolicy: row.retryPolicy,
    timeoutSeconds: row.timeoutSeconds,
    rateLimit: row.rateLimit,
    ordering: row.ordering,
    onExhausted: row.onExhausted,
    oauth: row.oauth,
    clientCertificate: row.clientCertificate,
    shadowUrl: row.shadowUrl,
    secrets: row.secrets,
  };
}
