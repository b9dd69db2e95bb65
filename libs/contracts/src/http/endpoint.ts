import { z } from 'zod';
import {
  EndpointMode,
  OnExhausted,
  Ordering,
  RetryPolicy,
  RetryStatus,
  SecretKind,
  WireProfile,
} from '../configuration.js';
import { CustomHeaders } from './custom-headers.js';
import { EventTypeName } from './event-type.js';
import { entityFields, Instant, Metadata, MetadataPatch, Uid } from './names.js';
import { ClientCertificateInput, ClientCertificateView, OAuthInput, OAuthPatch, OAuthView } from './oauth.js';
import { LABEL_PATTERN, publishLimits } from './publish.js';

const SECRET_BYTES = { min: 24, max: 64 };
const KEY_PAIR_BYTES = { min: 64, max: 64 };
const WEEK_SECONDS = 604_800;

/**
 * Of profiles standard and ada, as Standard Webhooks has them: `whsec_` and base64 of 24 to 64 bytes (v1), or `whsk_` and base64 of an Ed25519 seed and
 * its public key, 64 bytes (v1a). Whether the halves of a `whsk_` belong together takes more than a look at its form.
 */
export const SigningSecret = z
  .string()
  .refine((text) => isBase64Of(text, 'whsec_', SECRET_BYTES) || isBase64Of(text, 'whsk_', KEY_PAIR_BYTES), {
    error: 'must be whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of 64',
    params: { rule: 'bad_secret' },
  });

/** Of any profile. Those that sign with a text take every one of these; the others ask for more. */
export const TextSecret = z.string().refine((text) => /^[\x21-\x7e]{8,256}$/.test(text), {
  error: 'must be 8 to 256 visible ASCII characters',
  params: { rule: 'bad_secret' },
});

function isBase64Of(text: string, prefix: string, bytes: { min: number; max: number }): boolean {
  if (!text.startsWith(prefix)) return false;
  const match = /^([A-Za-z0-9+/]+)(={0,2})$/.exec(text.slice(prefix.length));
  if (!match?.[1] || (match[1].length + (match[2]?.length ?? 0)) % 4 !== 0) return false;
  const length = Math.floor((match[1].length * 3) / 4);
  return length >= bytes.min && length <= bytes.max;
}

const presets = RetryPolicy.options[0].shape.preset;
const retryRules = {
  retry_statuses: z.array(RetryStatus).max(50).optional().meta({
    description:
      'Which answers are retried: statuses, or `3xx`, `4xx`, `5xx`. Absent: all but 2xx. A failure without an answer always is, a 410 never.',
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
  url: z.string().max(2_048).meta({ description: 'Where messages are posted; not for a feed.' }),
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
  mode: EndpointMode.meta({
    description: '`push`: posted to the URL. `feed`: kept 24 h for the account to fetch. Fixed at creation.',
  }),
  profile: WireProfile.meta({
    description:
      'How requests look and are signed: as Standard Webhooks has it, or as the product of that name. Fixed at creation.',
  }),
  include: z.array(z.string().min(1).max(100)).max(50).meta({
    description:
      'Profile `middesk`: the members of `data.object` that are sent beside its scalars. Absent: all.',
  }),
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
  auto_disable: z.boolean().meta({
    description:
      'Whether it is disabled once every attempt has failed for a week. A 410 disables it in any case.',
  }),
  headers: CustomHeaders,
  shadow_url: z
    .string()
    .min(1)
    .max(2_048)
    .meta({
      description:
        'Where a copy of each first attempt goes too, with the same id, signature and headers and `webhook-shadow: true`. ' +
        'Copies count for nothing and may be left out; `shadow` of the attempt says what came of one.',
    }),
  oauth: OAuthInput,
  client_certificate: ClientCertificateInput,
  metadata: Metadata,
};

/** An endpoint's writable fields with what stands for an absent one. A merge patch must lead to one of these. */
export const EndpointInput = z.strictObject({
  url: fields.url.default(''),
  uid: fields.uid.nullable().default(null),
  description: fields.description.default(''),
  event_types: fields.event_types.default([]),
  channels: fields.channels.default([]),
  enabled: fields.enabled.default(true),
  mode: fields.mode.default('push'),
  profile: fields.profile.default('standard'),
  include: fields.include.nullable().default(null),
  retry_policy: fields.retry_policy.default({ preset: 'ada' }),
  timeout_seconds: fields.timeout_seconds.default(15),
  rate_limit: fields.rate_limit.nullable().default(null),
  ordering: fields.ordering.default('none'),
  on_exhausted: fields.on_exhausted.default('skip'),
  auto_disable: fields.auto_disable.default(true),
  headers: fields.headers.default({}),
  shadow_url: fields.shadow_url.nullable().default(null),
  oauth: fields.oauth.nullable().default(null),
  client_certificate: fields.client_certificate.nullable().default(null),
  metadata: fields.metadata.default({}),
});
export type EndpointInput = z.infer<typeof EndpointInput>;

export const CreateEndpoint = EndpointInput.extend({
  secret: TextSecret.optional().meta({
    description:
      'A signing secret of your own: of profiles `standard` and `ada` `whsec_...` (v1) or `whsk_...` (v1a), made by us ' +
      'when absent; of `linkup` and `middesk` any 8 to 256 visible ASCII characters, whose requests are not signed without.',
  }),
}).meta({
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
    include: fields.include.nullable().optional(),
    retry_policy: RetryPolicyInput.nullable().optional(),
    timeout_seconds: fields.timeout_seconds.nullable().optional(),
    rate_limit: fields.rate_limit.nullable().optional(),
    ordering: fields.ordering.nullable().optional(),
    on_exhausted: fields.on_exhausted.nullable().optional(),
    auto_disable: fields.auto_disable.nullable().optional(),
    headers: z.record(z.string(), z.string().nullable()).nullable().optional(),
    shadow_url: fields.shadow_url.nullable().optional(),
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
    disabled_at: Instant.nullable(),
    mode: fields.mode,
    profile: WireProfile,
    include: z.array(z.string()).nullable(),
    retry_policy: z.union([
      z.object({ preset: presets, ...retryRules }),
      z.object({ schedule_seconds: z.array(z.number()), ...retryRules }),
    ]),
    timeout_seconds: z.number(),
    rate_limit: z.object({ count: z.number().int(), period_seconds: z.number().int() }).nullable(),
    ordering: Ordering,
    on_exhausted: OnExhausted,
    auto_disable: z.boolean(),
    headers: z.record(z.string(), z.string()),
    shadow_url: z.string().nullable(),
    oauth: OAuthView.nullable(),
    client_certificate: ClientCertificateView.nullable(),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Endpoint' });
export type Endpoint = z.infer<typeof Endpoint>;

/** How an endpoint has been answering, some seconds behind what it did last. */
const EndpointHealth = z.object({
  failing_since: Instant.nullable().meta({
    description: 'The first failure since the last success; null while it answers as it should.',
  }),
  last_success_at: Instant.nullable().meta({ description: 'Up to five minutes old while all is well.' }),
  last_failure_at: Instant.nullable(),
});
export type EndpointHealth = z.infer<typeof EndpointHealth>;

export const EndpointWithHealth = Endpoint.extend({ health: EndpointHealth }).meta({
  id: 'EndpointWithHealth',
});
export type EndpointWithHealth = z.infer<typeof EndpointWithHealth>;

const PublicKey = z.string().nullable().meta({
  description:
    'What a receiver of v1a verifies with, `whpk_...`; null for v1, whose receivers hold the secret itself.',
});

/** Signing secrets are shown by their own routes only. */
export const EndpointSecret = z
  .object({
    key: z
      .string()
      .meta({ description: 'The newest signing secret: `whsec_...`, `whsk_...` or a text, by the profile.' }),
    public_key: PublicKey,
    secrets: z
      .array(
        z.object({
          id: z.string(),
          version: SecretKind,
          created_at: z.iso.datetime({ precision: 3 }),
          expires_at: z.iso
            .datetime({ precision: 3 })
            .nullable()
            .meta({ description: 'When it stops signing; null: when it is replaced.' }),
          last_used_at: z.iso
            .datetime({ precision: 3 })
            .nullable()
            .meta({
              description:
                "The endpoint's last attempt since the secret was made: every request is signed with every live secret. " +
                "Looked for among the account's latest 1,000 deliveries; null when there is none, and while history " +
                'cannot be read.',
            }),
          public_key: PublicKey,
        }),
      )
      .meta({ description: 'Every live secret, the newest first.' }),
  })
  .meta({ id: 'EndpointSecret' });
export type EndpointSecret = z.infer<typeof EndpointSecret>;

export const SecretQuery = z.strictObject({
  version: SecretKind.optional().meta({ description: 'The newest secret of this version as `key`.' }),
});
export type SecretQuery = z.infer<typeof SecretQuery>;

export const RotateSecret = z
  .strictObject({
    key: TextSecret.optional().meta({
      description: 'A secret of your own, as at creation; without it we make one.',
    }),
    version: SecretKind.optional().meta({
      description:
        'What the new secret signs; when absent what `key` is for, or v1. Of profiles `linkup` and `middesk` it is `text`.',
    }),
    overlap_seconds: z
      .number()
      .int()
      .min(0)
      .max(WEEK_SECONDS)
      .default(86_400)
      .meta({
        description:
          'How long the old secrets of this version go on signing beside the new one; 0 ends them now. Of profiles ' +
          '`linkup` and `middesk`, which have room for one signature, the old one always ends now.',
      }),
  })
  .meta({ id: 'RotateSecret' });
export type RotateSecret = z.infer<typeof RotateSecret>;

export const SendTest = z
  .strictObject({
    event_type: EventTypeName.optional().meta({
      description: 'When absent, the first the endpoint asks for, or `test`.',
    }),
    payload: z.unknown().optional().meta({
      description: "Any JSON. When absent, the event type's example from the catalogue, or a small sample.",
    }),
  })
  .meta({ id: 'SendTest' });
export type SendTest = z.infer<typeof SendTest>;
