import { z } from 'zod';
import { DisplayName, entityFields, Instant, Uid } from './names.js';

const EventTypePolicy = z.enum(['any', 'known']).meta({
  description: '`any`: every well-formed event type is accepted. `known`: only those in the catalogue.',
});

const MonitoringCredits = z.number().nonnegative().nullable().meta({
  description:
    'How many credits its accounts may be monitored for: one per 144 minutes and monitored account. Null: as many as they like.',
});

const RetentionDays = z
  .number()
  .int()
  .min(1)
  .max(3_650)
  .nullable()
  .meta({
    description:
      'How many days its messages, payloads, deliveries and attempts can be looked at; never longer than the ' +
      'installation keeps them. Null: as long as that.',
  });

export const CreateTenant = z
  .strictObject({
    name: DisplayName.min(1),
    event_type_policy: EventTypePolicy.default('any'),
    retention_days: RetentionDays.default(null),
  })
  .meta({ id: 'CreateTenant' });

export const PatchTenant = z
  .strictObject({
    name: DisplayName.min(1).optional(),
    event_type_policy: EventTypePolicy.optional(),
    monitoring_credits: MonitoringCredits.optional(),
    retention_days: RetentionDays.optional(),
  })
  .meta({ id: 'PatchTenant' });

export const Tenant = z
  .object({
    ...entityFields,
    name: z.string(),
    event_type_policy: EventTypePolicy,
    monitoring_credits: MonitoringCredits,
    retention_days: RetentionDays,
  })
  .meta({ id: 'Tenant' });
export type Tenant = z.infer<typeof Tenant>;

const Scope = z.enum(['tenant', 'account']).meta({
  description: '`tenant`: everything of the tenant. `account`: one account, its endpoints and messages.',
});

/** What a key may do with what its scope can reach. `messages:write` is to publish, `messages:delete` to
 * shred payloads; `secrets` are signing secrets. */
export const Permission = z.enum([
  'accounts:read',
  'accounts:write',
  'audit:read',
  'deliveries:read',
  'deliveries:write',
  'endpoints:read',
  'endpoints:write',
  'event-types:read',
  'event-types:write',
  'messages:delete',
  'messages:read',
  'messages:write',
  'secrets:read',
  'secrets:write',
]);
export type Permission = z.infer<typeof Permission>;

const Permissions = z
  .array(Permission)
  .min(1)
  .max(Permission.options.length)
  .refine((permissions) => new Set(permissions).size === permissions.length, {
    error: 'must not name one twice',
    params: { rule: 'repeated' },
  })
  .meta({
    description:
      'What it may do, and no more: reading and writing are apart. Absent: all its scope can reach, also what later ' +
      'versions add. `messages:write` publishes, `messages:delete` shreds payloads; `secrets` are the signing secrets of endpoints.',
  });

export const CreateKey = z
  .strictObject({
    scope: Scope,
    account: Uid.optional().meta({ description: 'For scope `account`: its uid or our id.' }),
    name: DisplayName.default(''),
    expires_at: Instant.optional(),
    permissions: Permissions.optional(),
  })
  .refine(({ scope, account }) => (scope === 'account') === (account !== undefined), {
    path: ['account'],
    error: 'must be given for scope `account`, and only for it',
    params: { rule: 'scope_mismatch' },
  })
  .meta({ id: 'CreateKey' });

const keyFields = {
  id: z.string(),
  scope: Scope,
  account: z.string().nullable().meta({ description: "The account's id." }),
  name: z.string(),
  permissions: z.array(Permission).nullable().meta({ description: 'Null: all its scope can reach.' }),
  last4: z.string().meta({ description: 'The last four characters, to tell keys apart.' }),
  created_at: Instant,
  expires_at: Instant.nullable(),
  revoked_at: Instant.nullable(),
};

export const ApiKey = z.object(keyFields).meta({ id: 'ApiKey' });
export type ApiKey = z.infer<typeof ApiKey>;

export const NewApiKey = z
  .object({ ...keyFields, key: z.string().meta({ description: 'The key itself, shown this once.' }) })
  .meta({ id: 'NewApiKey' });
export type NewApiKey = z.infer<typeof NewApiKey>;
