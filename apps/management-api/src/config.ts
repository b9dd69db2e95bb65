import { commonConfig, port } from '@posthaste/runtime';
import { z } from 'zod';

/** What the management API reads from its environment; nothing else in it looks there. */
export const ManagementApiConfig = z.object({
  ...commonConfig,
  HTTP_HOST: z.string().default('127.0.0.1').describe('Address the API listens on'),
  HTTP_PORT: port().describe('Port the API listens on'),
  HISTORY_GRPC: z.string().describe('Where audit-log serves its gRPC interface, host:port'),
  POSTHASTE_OPERATOR_KEY: z
    .string()
    .min(24)
    .describe('The key that may manage tenants and their keys; at least 24 characters'),
  POSTHASTE_KEY_PEPPER: z
    .string()
    .min(32)
    .describe('Secret under which API keys are stored and cursors signed; changing it voids all keys'),
  POSTHASTE_KEKS: z
    .string()
    .regex(/^[^:,]+:[A-Za-z0-9+/=]+(,[^:,]+:[A-Za-z0-9+/=]+)*$/, 'is id:base64[,id:base64]')
    .describe('Key-encryption keys, id:base64 of 32 bytes[,...], the current one first'),
  POSTHASTE_EGRESS_ALLOW: z
    .string()
    .default('')
    .describe('Private networks and hosts endpoints may point at, comma-separated; http is allowed there'),
  DATABASE_POOL: z.coerce
    .number()
    .int()
    .min(2)
    .max(100)
    .default(10)
    .describe('Connections to PostgreSQL for configuration requests'),
});
export type ManagementApiConfig = z.infer<typeof ManagementApiConfig>;
