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
});
export type TenantState = z.infer<typeof TenantState>;

/** A signing secret, sealed by the vault; live until `expiresAt` (null = no end). */
export const SealedSecret = z.object({
  id: z.string(),
  sealed: z.string(),
  createdAt: z.number().int(),
  expiresAt: z.number().int().nullable(),
});
export type SealedSecret = z.infer<typeof SealedSecret>;

export const RetryPolicy = z.union([
  z.object({ preset: z.enum(['ada', 'standard-webhooks', 'middesk', 'none']) }),
  z.object({ scheduleSeconds: z.array(z.number().nonnegative()) }),
]);
export type RetryPolicy = z.infer<typeof RetryPolicy>;

export const WireProfile = z.enum(['standard']);
export type WireProfile = z.infer<typeof WireProfile>;

export const EndpointState = z.object({
  kind: z.literal('endpoint'),
  ...entity,
  tenant: z.string(),
  account: z.string(),
  /** The account's configuration version at this change. */
  config: z.number().int(),
  url: z.string(),
  enabled: z.boolean(),
  profile: WireProfile,
  /** Empty = every event type. */
  eventTypes: z.array(z.string()),
  /** Empty = no channel filter. */
  channels: z.array(z.string()),
  headers: z.record(z.string(), z.string()),
  retryPolicy: RetryPolicy,
  timeoutSeconds: z.number().positive(),
  /** Newest first. */
  secrets: z.array(SealedSecret),
});
export type EndpointState = z.infer<typeof EndpointState>;

export const ConfigState = z.discriminatedUnion('kind', [TenantState, EndpointState]);
export type ConfigState = z.infer<typeof ConfigState>;
