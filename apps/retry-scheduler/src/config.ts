import { commonConfig } from '@posthaste/runtime';
import { z } from 'zod';

/** What retry-scheduler reads from its environment; nothing else in it looks there. */
export const RetrySchedulerConfig = z.object({
  ...commonConfig,
  HISTORY_ADDRESS: z.string().describe('Where audit-log serves its gRPC interface, host:port'),
});
export type RetrySchedulerConfig = z.infer<typeof RetrySchedulerConfig>;

export const environment = process.env;
