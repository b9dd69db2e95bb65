import { z } from 'zod';
import { Instant } from './names.js';

export const UsageQuery = z.strictObject({
  since: Instant.optional().meta({ description: 'From here on; when absent, from the beginning.' }),
  until: Instant.optional().meta({ description: 'Up to here; when absent, or in the future, up to now.' }),
});
export type UsageQuery = z.infer<typeof UsageQuery>;

export const AccountUsage = z
  .object({
    account_id: z.string(),
    since: Instant.nullable(),
    until: Instant,
    credits: z.number().meta({
      description: 'One per 144 minutes in which the account was monitored, accruing continuously.',
    }),
    monitored_seconds: z.number(),
    monitored_since: Instant.nullable().meta({ description: 'Null while it is not monitored.' }),
    periods: z
      .array(z.object({ started_at: Instant, ended_at: Instant.nullable() }))
      .meta({ description: 'The stretches that touch the time asked for, the newest first; at most 100.' }),
  })
  .meta({ id: 'AccountUsage' });
export type AccountUsage = z.infer<typeof AccountUsage>;
