import { z } from 'zod';
import { OnExhausted, Ordering, RetryPolicy, RetryStatus, WireProfile } from '../configuration.js';
import { CustomHeaders } from './custom-headers.js';
import { EventTypeName } from './event-type.js';
import { ClientCertificateInput, ClientCertificateView, OAuthInput, OAuthPatch, OAuthView } from './oauth.js';
import { entityFields, Metadata, MetadataPatch, Uid } from './names.js';
import { LABEL_PATTERN, publishLimits } from './publish.js';

const SECRET_BYTES = { min: 24, max: 64 };
const WEEK_SECONDS = 604_800;

/** `whsec_` and base64 of 24 to 64 bytes, as Standard Webhooks has it. */
const SigningSecret = z
  .string()
  .max(128)
  .refine(isSigningSecret, {
    error: `must be whsec_ and the base64 of ${SECRET_BYTES.min} to ${SECRET_BYTES.max} bytes`,
    params: { rule: 'bad_secret' },
  })
  .meta({ description: 'A signing secret of your own; without it we make one.' });

function isSigningSecret(text: string): boolean {
  const match = /^whsec_([A-Za-z0-9+/]+)(={0,2})$/.exec(text);
  if (!match?.[1] || (match[1].length + (match[2]?.length ?? 0)) % 4 !== 0) return false;
  const bytes = Math.floor((match[1].length * 3) / 4);
  return bytes >= SECRET_BYTES.min && bytes <= SECRET_BYTES.max;
}

const presets = RetryPolicy.options[0].shape.preset;
const retryRules = {
  retry_statuses: z.array(RetryStatus).max(50).optional().meta({
    description: 'Which answers are retried: statuses, or `3xx`, `4xx`, `5xx`. Absent: all but 2xx.',
  }),
  jitter: z
    .number()
    .min(0)
    .max(0.5)
    .optional()
    .meta({ description: 'The share a delay is moved by at most. Absent: 0.2, from five minutes up.' }),
};

/** One of the two, never both. */
const RetryPolicyInput = z
  .union([
    z.strictObject({ preset: presets, ...retryRules }),
    z.strictObject({
      schedule_seconds: z
        .array(z.number().min(0).max(WEEK_SECONDS))
        .min(1)
        .max(30)
        .refine((steps) => steps.reduce((sum, step) => sum + step, 0) <= WEEK_SECONDS, {
          error: 'must add up to at most 7 days',
          params: { rule: 'too_long' },
        }),
      ...retryRules,
    }),
  ])
  .meta({ description: 'A preset, or the delays before each retry: 1 to 30 steps, 7 days in sum.' });

const RateLimitInput = z
  .strictObject({
    count: z.number().int().min(1).max(100_000),
    period_seconds: z.number().int().min(1).max(3_600),
  })
  .meta({ description: 'At most `count` requests in any `period_seconds`.' });

const fields = {
  url: z.string().min(1).max(2_048).meta({ description: 'Where messages are posted.' }),
  uid: Uid.meta({ description: 'Your own id for it, unique in the account.' }),
  description: z.string().max(1_024),
  event_types: z.array(EventTypeName).max(500).meta({ description: 'Empty: every event type.' }),
  channels: z
    .array(
      z
        .string()
        .min(1)
        .max(publishLimits.labelChars)
        .regex(LABEL_PATTERN, 'must not hold commas or controls'),
    )
    .max(50)
    .meta({ description: 'Empty: messages of any channel and of none.' }),
  enabled: z.boolean(),
  mode: z.enum(['push']),
  profile: WireProfile,
  retry_policy: RetryPolicyInput,
  timeout_seconds: z.number().min(1).max(30),
  rate_limit: RateLimitInput,
  ordering: Ordering.meta({
    description:
      '`by_key`: messages of one `ordering_key` arrive one after the other, in order of acceptance.',
  }),
  on_exhausted: OnExhausted.meta({
    description:
      'With `by_key`: whether an exhausted delivery blocks those behind it until it is settled by hand.',
  }),
  headers: CustomHeaders,
  oauth: OAuthInput,
  client_certificate: ClientCertificateInput,
  metadata: Metadata,
};

/** An endpoint's writable fields with what stands for an absent one. A merge patch must lead to one of these. */
export const EndpointInput = z.strictObject({
  url: fields.url,
  uid: fields.uid.nullable().default(null),
  description: fields.description.default(''),
  event_types: fields.event_types.default([]),
  channels: fields.channels.default([]),
  enabled: fields.enabled.default(true),
  mode: fields.mode.default('push'),
  profile: fields.profile.default('standard'),
  retry_policy: fields.retry_policy.default({ preset: 'ada' }),
  timeout_seconds: fields.timeout_seconds.default(15),
  rate_limit: fields.rate_limit.nullable().default(null),
  ordering: fields.ordering.default('none'),
  on_exhausted: fields.on_exhausted.default('skip'),
  headers: fields.headers.default({}),
  oauth: fields.oauth.nullable().default(null),
  client_certificate: fields.client_certificate.nullable().default(null),
  metadata: fields.metadata.default({}),
});
export type EndpointInput = z.infer<typeof EndpointInput>;

export const CreateEndpoint = EndpointInput.extend({ secret: SigningSecret.optional() }).meta({
  id: 'CreateEndpoint',
});
export type CreateEndpoint = z.infer<typeof CreateEndpoint>;

export const PatchEndpoint = z
  .strictObject({
    url: fields.url.optional(),
    uid: fields.uid.nullable().optional(),
    description: fields.description.nullable().optional(),
    event_types: fields.event_types.nullable().optional(),
    channels: fields.channels.nullable().optional(),
    enabled: fields.enabled.nullable().optional(),
    mode: fields.mode.nullable().optional(),
    profile: fields.profile.nullable().optional(),
    retry_policy: RetryPolicyInput.nullable().optional(),
    timeout_seconds: fields.timeout_seconds.nullable().optional(),
    rate_limit: fields.rate_limit.nullable().optional(),
    ordering: fields.ordering.nullable().optional(),
    on_exhausted: fields.on_exhausted.nullable().optional(),
    headers: z.record(z.string(), z.string().nullable()).nullable().optional(),
    oauth: OAuthPatch.nullable().optional(),
    client_certificate: fields.client_certificate.nullable().optional(),
    metadata: MetadataPatch.optional(),
  })
  .meta({
    id: 'PatchEndpoint',
    description:
      'JSON merge patch (RFC 7396): null takes a field back to its default. `retry_policy`, `rate_limit` and `client_certificate` are replaced whole.',
  });
export type PatchEndpoint = z.infer<typeof PatchEndpoint>;

export const Endpoint = z
  .object({
    ...entityFields,
    account_id: z.string(),
    uid: z.string().nullable(),
    url: z.string(),
    description: z.string(),
    event_types: z.array(z.string()),
    channels: z.array(z.string()),
    enabled: z.boolean(),
    disabled_reason: z.string().nullable(),
    mode: fields.mode,
    profile: WireProfile,
    retry_policy: z.union([
      z.object({ preset: presets, ...retryRules }),
      z.object({ schedule_seconds: z.array(z.number()), ...retryRules }),
    ]),
    timeout_seconds: z.number(),
    rate_limit: z.object({ count: z.number().int(), period_seconds: z.number().int() }).nullable(),
    ordering: Ordering,
    on_exhausted: OnExhausted,
    headers: z.record(z.string(), z.string()),
    oauth: OAuthView.nullable(),
    client_certificate: ClientCertificateView.nullable(),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Endpoint' });
export type Endpoint = z.infer<typeof Endpoint>;

export const EndpointSecret = z
  .object({ key: z.string().meta({ description: 'The newest signing secret, `whsec_...`.' }) })
  .meta({ id: 'EndpointSecret' });

export const RotateSecret = z
  .strictObject({
    key: SigningSecret.optional(),
    overlap_seconds: z
      .number()
      .int()
      .min(0)
      .max(WEEK_SECONDS)
      .default(86_400)
      .meta({ description: 'How long the old secrets go on signing beside the new one; 0 ends them now.' }),
  })
  .meta({ id: 'RotateSecret' });
export type RotateSecret = z.infer<typeof RotateSecret>;
