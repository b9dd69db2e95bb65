import { EventTypeName, type PatchEndpoint, type CreateEndpoint } from '@posthaste/contracts';
import { z } from 'zod';
import type { EndpointRow } from '../../endpoints/endpoint.entity.js';

// How a webhook of LinkUp is an endpoint of ours, and back. Where LinkUp's documents are silent, the rules here are ours.

export const WEBHOOK_ID = /^[0-9a-f]{24}$/;

const ALL = 'all';

/** An optional field may also be null, as programs write that have no word for absent. */
const optional = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value): z.output<T> | undefined => value ?? undefined);

const Events = z
  .array(EventTypeName)
  .min(1, 'must name an event, or "all"')
  .max(400)
  .transform((names) => [...new Set(names)]);

/** Fields there are not are passed over, as LinkUp does. */
export const CreateWebhook = z.object({
  account_id: z.string(),
  url: optional(z.string().min(1)),
  events: optional(Events),
  retry: optional(z.boolean()),
  enable_signature: optional(z.boolean()),
});
export type CreateWebhook = z.output<typeof CreateWebhook>;

export const UpdateWebhook = z.object({
  url: optional(z.string().min(1)),
  events: optional(Events),
  retry: optional(z.boolean()),
  is_active: optional(z.boolean()),
});
export type UpdateWebhook = z.output<typeof UpdateWebhook>;

/** Absent: a feed. Failed deliveries are retried unless the webhook says otherwise. */
export function endpointOf({ url, events, retry }: CreateWebhook): Partial<CreateEndpoint> {
  return {
    profile: 'linkup',
    ...(url === undefined ? { mode: 'feed' as const } : { url }),
    event_types: filterOf(events ?? [ALL]),
    retry_policy: retryPolicyOf(retry ?? true),
  };
}

export function patchOf({ url, events, retry, is_active }: UpdateWebhook): PatchEndpoint {
  return {
    ...(url === undefined ? {} : { url }),
    ...(events === undefined ? {} : { event_types: filterOf(events) }),
    ...(retry === undefined ? {} : { retry_policy: retryPolicyOf(retry) }),
    ...(is_active === undefined ? {} : { enabled: is_active }),
  };
}

export function webhookView(row: EndpointRow, accountUid: string) {
  return {
    ...created(row, accountUid),
    url: row.mode === 'feed' ? null : row.url,
    retry: !('preset' in row.retryPolicy && row.retryPolicy.preset === 'none'),
    signature_enabled: row.secrets.length > 0,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

/** What creating answers: less than a webhook's whole view. */
export function created({ uid, mode, eventTypes, enabled }: EndpointRow, accountUid: string) {
  const hosted = mode === 'feed';
  return {
    webhook_id: uid,
    account_id: accountUid,
    mode: hosted ? 'hosted' : 'custom',
    stream_url: hosted ? `/v2/webhooks/${uid}/stream` : null,
    events_url: hosted ? `/v2/webhooks/${uid}/events` : null,
    events: eventsOf(eventTypes),
    is_active: enabled,
  };
}

function filterOf(events: string[]): string[] {
  return events.includes(ALL) ? [] : events;
}

function eventsOf(eventTypes: string[]): string[] {
  return eventTypes.length === 0 ? [ALL] : eventTypes;
}

function retryPolicyOf(retry: boolean): { preset: 'ada' | 'none' } {
  return { preset: retry ? 'ada' : 'none' };
}
