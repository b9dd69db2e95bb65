import {
  type Endpoint,
  EndpointInput,
  PageQuery,
  RotateSecret,
  type WireProfile,
} from '@posthaste/contracts';
import { z } from 'zod';

// An endpoint as Ada's clients know it. Names they send beyond these are ignored, as Ada ignores them.

/** What makes an endpoint a webhook of Ada's, beside what its client says. */
export const webhookDefaults = {
  mode: 'push',
  profile: 'ada' satisfies WireProfile,
  retry_policy: { preset: 'ada' },
  timeout_seconds: 15,
  auto_disable: true,
} as const;

const { url, description, event_types, enabled } = EndpointInput.shape;

/** Null is what a field is when nothing is said of it: clients send the fields they left empty as such. */
const fields = {
  url: url.unwrap(),
  description: description
    .unwrap()
    .nullable()
    .transform((text) => text ?? ''),
  event_filters: event_types
    .unwrap()
    .nullable()
    .transform((names) => names ?? []),
  enabled: enabled.unwrap(),
};

export const CreateWebhook = z.preprocess(
  (body) => body ?? {},
  z.object({
    url: fields.url,
    description: fields.description.default(''),
    event_filters: fields.event_filters.default([]),
    enabled: fields.enabled.default(true),
  }),
);
export type CreateWebhook = z.infer<typeof CreateWebhook>;

/** Only what is sent changes. */
export const PatchWebhook = z.object({
  url: fields.url.optional(),
  description: fields.description.optional(),
  event_filters: fields.event_filters.optional(),
  enabled: fields.enabled.optional(),
});
export type PatchWebhook = z.infer<typeof PatchWebhook>;

/** A key of the client's own may be base64 alone, as Svix takes it; it is shown with the prefix. */
export const RotateKey = z.object({
  key: z
    .string()
    .transform((text) => (text.startsWith('whsec_') ? text : `whsec_${text}`))
    .pipe(RotateSecret.shape.key.unwrap())
    .nullish(),
});
export type RotateKey = z.infer<typeof RotateKey>;

const LONGEST_PAGE = 200;

/** Ada does not say how long a page may be: one is never longer than ours. */
export const WebhookPage = z.object({
  ...PageQuery.shape,
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .transform((limit) => Math.min(limit, LONGEST_PAGE))
    .default(50),
});

/** Ada does not say how long the old key goes on signing; Svix, on which it runs, says 24 h. */
export const ROTATION_OVERLAP_SECONDS = 86_400;

export interface Webhook {
  id: string;
  url: string;
  description: string;
  event_filters: string[];
  enabled: boolean;
  created_at: string;
  updated_at: string;
}

export function webhookOf(endpoint: Endpoint): Webhook {
  return {
    id: endpoint.id,
    url: endpoint.url,
    description: endpoint.description,
    event_filters: endpoint.event_types,
    enabled: endpoint.enabled,
    created_at: timeOf(endpoint.created_at),
    updated_at: timeOf(endpoint.updated_at),
  };
}

/** The endpoint's fields among a webhook's that were sent. */
export function endpointFields<T extends PatchWebhook>({ event_filters, ...rest }: T) {
  return event_filters === undefined ? rest : { ...rest, event_types: event_filters };
}

/** `2026-03-12T10:00:00+00:00` */
function timeOf(instant: string): string {
  return `${instant.slice(0, 19)}+00:00`;
}
