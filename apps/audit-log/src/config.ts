import { commonConfig, port } from '@posthaste/runtime';
import { z } from 'zod';

/** What audit-log reads from its environment; nothing else in it looks there. */
export const AuditLogConfig = z.object({
  ...commonConfig,
  GRPC_HOST: z.string().default('127.0.0.1').describe('Address the gRPC interface listens on'),
  GRPC_PORT: port().describe('Port the gRPC interface listens on'),
  HISTORY_RETENTION_DAYS: z.coerce
    .number()
    .positive()
    .default(30)
    .describe('Days that messages, deliveries and attempts can be looked at'),
  HISTORY_PAYLOAD_INDEX: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      'Whether the payloads of the last day are indexed for searches; it costs each message of 20 values some 40 µs',
    ),
  HISTORY_YIELDS: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      'Whether history rests while this machine has nothing left, up to 10 s behind: for services that share one machine',
    ),
  FEED_RETENTION_HOURS: z.coerce
    .number()
    .positive()
    .default(24)
    .describe('Hours that the items of hosted endpoints can be fetched; never longer than their messages'),
  POSTHASTE_AUDIT_KEYS: z
    .string()
    .regex(/^[A-Za-z0-9+/]{43}=(,[A-Za-z0-9+/]{43}=)*$/, 'is base64 of 32 bytes[,...]')
    .describe(
      'Private keys that sign the audit trees, base64 of 32 random bytes[,...], the current one first; keep them apart from the database',
    ),
  DATABASE_POOL: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(8)
    .describe('Connections to PostgreSQL for reads; projecting uses two of its own'),
});
export type AuditLogConfig = z.infer<typeof AuditLogConfig>;

export const environment = process.env;
