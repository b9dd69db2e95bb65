import { commonConfig, egressAllow, egressDeny, egressProxy, keks, port } from '@posthaste/runtime';
import { z } from 'zod';

/** What the management API reads from its environment; nothing else in it looks there. */
export const ManagementApiConfig = z.object({
  ...commonConfig,
  HTTP_HOST: z.string().default('127.0.0.1').describe('Address the API listens on'),
  HTTP_PORT: port().describe('Port the API listens on'),
  HTTP_PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .refine((url) => !/[?#]/.test(url), 'must have no query and no fragment')
    .transform((url) => url.replace(/\/+$/, ''))
    .optional()
    .describe(
      'Where callers reach the API, for answers that name it; when absent, what a request names, which is not it behind a proxy that ends TLS',
    ),
  HISTORY_GRPC: z.string().describe('Where audit-log serves its gRPC interface, host:port'),
  DISPATCH_GRPC: z
    .string()
    .describe(
      'Where dispatchers serve their gRPC interface, for test sends: host:port, or a gRPC target such as dns:///dispatcher:4106',
    ),
  POSTHASTE_OPERATOR_KEY: z
    .string()
    .min(24)
    .describe('The key that may manage tenants and their keys; at least 24 characters'),
  POSTHASTE_KEY_PEPPER: z
    .string()
    .min(32)
    .describe('Secret under which API keys are stored and cursors signed; changing it voids all keys'),
  POSTHASTE_KEKS: keks(),
  POSTHASTE_EGRESS_ALLOW: egressAllow(),
  POSTHASTE_EGRESS_DENY: egressDeny(),
  ADA_RATE_LIMITS: z
    .string()
    .regex(
      /^(off|[1-9]\d*\/(s|min|day)(,[1-9]\d*\/(s|min|day))*)$/,
      "must be `off`, or such as '10/s,100/min'",
    )
    .default('10/s,100/min,10000/day')
    .describe(
      "How often one key may ask Ada's API, in each process of this service; `off`: as often as it likes",
    ),
  POSTHASTE_EGRESS_PROXY: egressProxy(),
  DATABASE_POOL: z.coerce
    .number()
    .int()
    .min(2)
    .max(100)
    .default(10)
    .describe('Connections to PostgreSQL for configuration requests'),
});
export type ManagementApiConfig = z.infer<typeof ManagementApiConfig>;

export const environment = process.env;
