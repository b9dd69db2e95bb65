import { commonConfig, port } from '@posthaste/runtime';
import { z } from 'zod';

/** What retry-scheduler reads from its environment; nothing else in it looks there. */
export const RetrySchedulerConfig = z.object({
  ...commonConfig,
  GRPC_HOST: z.string().default('127.0.0.1').describe('Address the gRPC interface listens on'),
  GRPC_PORT: port().describe('Port the gRPC interface listens on; dispatchers ask it about ordering keys'),
  HISTORY_ADDRESS: z.string().describe('Where audit-log serves its gRPC interface, host:port'),
});
export type RetrySchedulerConfig = z.infer<typeof RetrySchedulerConfig>;

export const environment = process.env;
