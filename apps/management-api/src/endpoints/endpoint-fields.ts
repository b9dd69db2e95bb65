import type { Endpoint, EndpointInput, PatchEndpoint, RetryPolicy } from '@posthaste/contracts';
import { mergePatch } from '../http/merge-patch.js';
import { certificateView } from './client-certificate.js';
import type { EndpointRow } from './endpoint.entity.js';
import { oauthInput, oauthView, patchedOAuth } from './oauth-client.js';

/**
 * The three forms of an endpoint's fields: as asked for (snake_case), as stored, and as shown. Credentials are not among
 * the columns here: sealing them takes more than the input.
 */
export function toColumns(input: EndpointInput): Partial<EndpointRow> {
  return {
    url: input.url,
    uid: input.uid,
    description: input.description,
    eventTypes: input.event_types,
    channels: input.channels,
    enabled: input.enabled,
    mode: input.mode,
    profile: input.profile,
    include: input.include,
    retryPolicy: toStored(input.retry_policy),
    timeoutSeconds: input.timeout_seconds,
    rateLimit: input.rate_limit && {
      count: input.rate_limit.count,
      periodSeconds: input.rate_limit.period_seconds,
    },
    ordering: input.ordering,
    onExhausted: input.on_exhausted,
    autoDisable: input.auto_disable,
    headers: input.headers,
    shadowUrl: input.shadow_url,
    metadata: input.metadata,
  };
}

export function toInput(row: EndpointRow): EndpointInput {
  return {
    url: row.url,
    uid: row.uid,
    description: row.description,
    event_types: row.eventTypes,
    channels: row.channels,
    enabled: row.enabled,
    mode: row.mode,
    profile: row.profile,
    include: row.include,
    retry_policy: toShown(row.retryPolicy),
    timeout_seconds: row.timeoutSeconds,
    rate_limit: row.rateLimit && { count: row.rateLimit.count, period_seconds: row.rateLimit.periodSeconds },
    ordering: row.ordering,
    on_exhausted: row.onExhausted,
    auto_disable: row.autoDisable,
    headers: row.headers,
    shadow_url: row.shadowUrl,
    oauth: row.oauth && oauthInput(row.oauth),
    client_certificate: row.clientCertificate && { certificate: row.clientCertificate.chain },
    metadata: row.metadata,
  };
}

export function endpointView(row: EndpointRow): Endpoint {
  return {
    id: row.id,
    account_id: row.account,
    ...toInput(row),
    oauth: row.oauth && oauthView(row.oauth),
    client_certificate: row.clientCertificate && certificateView(row.clientCertificate),
    disabled_reason: row.disabledReason,
    disabled_at: row.disabledAt?.toISOString() ?? null,
    version: row.version,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

/** The merge patch applied; null takes a field away, so that its default returns. Still to be validated as a whole. */
export function applyPatch(current: EndpointInput, patch: PatchEndpoint): Record<string, unknown> {
  const { headers, metadata, oauth, ...rest } = patch;
  return mergePatch<unknown>(current, {
    ...rest,
    oauth: oauth ? patchedOAuth(current.oauth, oauth) : oauth === null ? null : current.oauth,
    headers: headers === null ? null : mergePatch(current.headers, headers ?? {}),
    metadata: metadata === null ? null : mergePatch(current.metadata, metadata ?? {}),
  });
}

function toStored(policy: EndpointInput['retry_policy']): RetryPolicy {
  const { retry_statuses: retryStatuses, jitter } = policy;
  const schedule =
    'preset' in policy ? { preset: policy.preset } : { scheduleSeconds: policy.schedule_seconds };
  return { ...schedule, ...given({ retryStatuses, jitter }) };
}

function toShown(policy: RetryPolicy): EndpointInput['retry_policy'] {
  const { retryStatuses: retry_statuses, jitter } = policy;
  const schedule =
    'preset' in policy ? { preset: policy.preset } : { schedule_seconds: policy.scheduleSeconds };
  return { ...schedule, ...given({ retry_statuses, jitter }) };
}

/** Without the members that are undefined: a policy is stored and compared as it was asked for. */
function given<T extends object>(members: T): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;
}
