import { z } from 'zod';

/**
 * The full current state of one configuration entity, as the compacted topic `config` carries it. `version` counts
 * the entity's own changes from 1; readers apply a record only if its version is above the one they hold.
 */
const entity = { id: z.string(), version: z.number().int().positive(), deleted: z.boolean() };

/** A data key, encrypted under a key-encryption key. Never the key itself. */
export const WrappedKey = z.object({ id: z.string(), kek: z.string(), wrapped: z.string() });
export type WrappedKey = z.infer<typeof WrappedKey>;

export const TenantState = z.object({
  kind: z.literal('tenant'),
  ...entity,
  name: z.string(),
  /** The newest first; older ones still open what they sealed. */
  dataKeys: z.array(WrappedKey),
  /** How long its history is kept, where that is less than the installation keeps it; null = as long as that. */
  retentionDays: z.number().int().positive().nullable().optional(),
});
export type TenantState = z.infer<typeof TenantState>;

/** `v1` is HMAC-SHA256 (`whsec_`), `v1a` Ed25519 (`whsk_`). */
export const SignatureVersion = z.enum(['v1', 'v1a']);
export type SignatureVersion = z.infer<typeof SignatureVersion>;

/** What a secret is: one of Standard Webhooks, or a `text` whose own characters are the key of an HMAC-SHA256. */
export const SecretKind = z.enum([...SignatureVersion.options, 'text']);
export type SecretKind = z.infer<typeof SecretKind>;

/** A signing secret, sealed by the vault; live until `expiresAt` (null = no end). */
export const SealedSecret = z.object({
  id: z.string(),
  version: SecretKind.default('v1'),
  sealed: z.string(),
  createdAt: z.number().int(),
  expiresAt: z.number().int().nullable(),
  /** Whoever gave it was promised that nobody can read it. */
  writeOnly: z.literal(true).optional(),
});
export type SealedSecret = z.infer<typeof SealedSecret>;

/** A status or a class of them. */
export const RetryStatus = z.union([z.number().int().min(300).max(599), z.enum(['3xx', '4xx', '5xx'])]);
export type RetryStatus = z.infer<typeof RetryStatus>;

const retryRules = {
  /** Which answers are retried; absent = every one that is not a success. A failure without an answer always is. */
  retryStatuses: z.array(RetryStatus).optional(),
  /** The share a delay is moved by at most, either way; absent = 0.2 from five minutes up. */
  jitter: z.number().min(0).max(0.5).optional(),
};
export const RetryPolicy = z.union([
  z.object({ preset: z.enum(['ada', 'standard-webhooks', 'middesk', 'none']), ...retryRules }),
  z.object({ scheduleSeconds: z.array(z.number().nonnegative()), ...retryRules }),
]);
export type RetryPolicy = z.infer<typeof RetryPolicy>;

/** How requests look and are signed: Standard Webhooks, or as the product of that name does it. */
export const WireProfile = z.enum(['standard', 'ada', 'linkup', 'middesk']);
export type WireProfile = z.infer<typeof WireProfile>;

/** Messages are posted to a URL, or kept for the account to fetch. */
export const EndpointMode = z.enum(['push', 'feed']);
export type EndpointMode = z.infer<typeof EndpointMode>;

/** At most `count` requests in any `periodSeconds`. */
export const RateLimit = z.object({
  count: z.number().int().positive(),
  periodSeconds: z.number().positive(),
});
export type RateLimit = z.infer<typeof RateLimit>;

/** Whether deliveries wait for each other: never, or for earlier ones of the same `ordering_key`. */
export const Ordering = z.enum(['none', 'by_key']);
export type Ordering = z.infer<typeof Ordering>;

/** What becomes of a key's deliveries behind one that is exhausted: they wait for a person, or go on. */
export const OnExhausted = z.enum(['block', 'skip']);
export type OnExhausted = z.infer<typeof OnExhausted>;

/** The signing algorithms of client assertions. */
export const AssertionAlgorithm = z.enum(['ES256', 'PS256', 'RS256', 'EdDSA']);
export type AssertionAlgorithm = z.infer<typeof AssertionAlgorithm>;

/**
 * The public half of an assertion's key, as its JWKS shows it; RSA has `n` and `e`, the others `crv`, `x`, and EC `y`.
 * A key with a certificate is named by that too, in its JWKS (`x5c`) and in what it signs (`x5t`).
 */
export const PublicJwk = z.object({
  kty: z.enum(['EC', 'RSA', 'OKP']),
  crv: z.string().optional(),
  x: z.string().optional(),
  y: z.string().optional(),
  n: z.string().optional(),
  e: z.string().optional(),
  kid: z.string(),
  x5t: z.string().optional(),
  x5c: z.array(z.string()).optional(),
  alg: AssertionAlgorithm,
  use: z.literal('sig'),
});
export type PublicJwk = z.infer<typeof PublicJwk>;

/** OAuth 2.0 client credentials towards the receiver (RFC 6749 section 4.4). */
export const OAuthClient = z.object({
  tokenUrl: z.string(),
  clientId: z.string(),
  method: z.enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt']),
  /** The client secret, or the private key as a JWK; sealed by the vault. */
  credential: z.object({ id: z.string(), sealed: z.string() }),
  /** Of `private_key_jwt`: what assertions are signed with, and the random id its JWKS is published under. */
  key: z
    .object({
      public: PublicJwk,
      jwks: z.string(),
      /** The key before, which signs until token servers must have seen the new one in the key set; ms since 1970. */
      previous: z
        .object({
          public: PublicJwk,
          credential: z.object({ id: z.string(), sealed: z.string() }),
          signsUntil: z.number().int(),
        })
        .optional(),
    })
    .nullable(),
  scope: z.string().nullable(),
  resource: z.array(z.string()),
  /** A parameter some servers want beside or instead of `resource`. */
  audience: z.string().nullable(),
  /** The `aud` of an assertion: the server's issuer identifier, or `token_endpoint` for the token URL. */
  assertionAudience: z.string().nullable(),
  /** A token is held no longer, whatever the server says of it. */
  maxTokenTtlSeconds: z.number().int().positive().optional(),
});
export type OAuthClient = z.infer<typeof OAuthClient>;

/** A certificate shown to the receiver (mTLS): its PEM chain, and the private key's PEM sealed by the vault. */
export const ClientCertificate = z.object({
  chain: z.string(),
  key: z.object({ id: z.string(), sealed: z.string() }),
});
export type ClientCertificate = z.infer<typeof ClientCertificate>;

export const EndpointState = z.object({
  kind: z.literal('endpoint'),
  ...entity,
  tenant: z.string(),
  account: z.string(),
  /** The account's configuration version at this change. */
  config: z.number().int(),
  mode: EndpointMode.default('push'),
  /** Empty for a feed. */
  url: z.string(),
  enabled: z.boolean(),
  profile: WireProfile,
  /** Profile `middesk`: the members of `data.object` that are sent beside its scalars; null = all. */
  include: z.array(z.string()).nullable().default(null),
  /** Empty = every event type. */
  eventTypes: z.array(z.string()),
  /** Empty = no channel filter. */
  channels: z.array(z.string()),
  headers: z.record(z.string(), z.string()),
  retryPolicy: RetryPolicy,
  timeoutSeconds: z.number().positive(),
  rateLimit: RateLimit.nullable().default(null),
  ordering: Ordering.default('none'),
  onExhausted: OnExhausted.default('skip'),
  oauth: OAuthClient.nullable().default(null),
  clientCertificate: ClientCertificate.nullable().default(null),
  /** Where copies go; what becomes of them counts for nothing. */
  shadowUrl: z.string().nullable().default(null),
  /** Newest first. */
  secrets: z.array(SealedSecret),
});
export type EndpointState = z.infer<typeof EndpointState>;

export const ConfigState = z.discriminatedUnion('kind', [TenantState, EndpointState]);
export type ConfigState = z.infer<typeof ConfigState>;
