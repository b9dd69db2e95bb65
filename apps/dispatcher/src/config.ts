import { commonConfig, egressAllow, egressDeny, egressProxy, keks, port } from '@posthaste/runtime';
import { z } from 'zod';

/** What dispatcher reads from its environment; nothing else in it looks there. */
export const DispatcherConfig = z.object({
  ...commonConfig,
  POSTHASTE_KEKS: keks(),
  POSTHASTE_EGRESS_ALLOW: egressAllow(),
  SCHEDULE_GRPC: z
    .string()
    .describe(
      'host:port of the gRPC interface of retry-scheduler; asked only about endpoints that order by key',
    ),
  GRPC_HOST: z.string().default('127.0.0.1').describe('Address the gRPC interface listens on'),
  GRPC_PORT: port().describe('Port the gRPC interface listens on; management-api sends tests through it'),
  POSTHASTE_EGRESS_DENY: egressDeny(),
  POSTHASTE_EGRESS_PROXY: egressProxy(),
  DISPATCHER_LANE_IN_FLIGHT: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(16)
    .describe('Requests to one endpoint at the same time'),
  DISPATCHER_ORIGIN_IN_FLIGHT: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(128)
    .describe('Requests to one server (scheme, host and port) at the same time, whoever has endpoints there'),
  DISPATCHER_IN_FLIGHT: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(1_500)
    .describe('Requests of this process at the same time'),
  DISPATCHER_DRAIN_SECONDS: z.coerce
    .number()
    .min(0)
    .max(20)
    .default(20)
    .describe(
      'How long stopping waits for requests in flight; what is left is sent again by another dispatcher',
    ),
  DISPATCHER_LOG_ATTEMPTS: z
    .enum(['on', 'off'])
    .default('off')
    .describe('One log line per attempt, beside metrics, traces and the history itself'),
});
export type DispatcherConfig = z.infer<typeof DispatcherConfig>;

export const environment = process.env;
