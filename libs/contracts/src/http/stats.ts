import { z } from 'zod';

const Time = z.iso.datetime({ precision: 3 });
const Instant = z.iso.datetime({ offset: true, error: 'must be an RFC 3339 time' });

export const StatsResolution = z.enum(['minute', 'hour', 'day']);
export type StatsResolution = z.infer<typeof StatsResolution>;

export const StatsQuery = z.strictObject({
  since: Instant.optional().meta({
    description: 'Absent: an hour, a day or a month ago, by the resolution.',
  }),
  until: Instant.optional().meta({ description: 'The first time that does not belong to it. Absent: now.' }),
  resolution: StatsResolution.default('minute').meta({
    description: 'What a point of the series is: a minute, hour or day, in UTC.',
  }),
});
export type StatsQuery = z.infer<typeof StatsQuery>;

const counts = {
  delivered: z.number().int().meta({ description: 'Attempts that succeeded.' }),
  failed: z.number().int().meta({ description: 'Attempts that failed.' }),
  deferred: z.number().int().meta({ description: 'How often an attempt that was due was put off.' }),
  latency_ms: z.object({ p50: z.number(), p95: z.number(), p99: z.number() }).nullable().meta({
    description: 'How long attempts took, failed ones too, within 10 %; null when there were none.',
  }),
};

export const EndpointStats = z
  .object({
    endpoint_id: z.string(),
    since: Time,
    until: Time,
    resolution: StatsResolution,
    total: z.object(counts),
    data: z.array(z.object({ at: Time.meta({ description: 'Where the point begins.' }), ...counts })).meta({
      description: 'Every point of the range, oldest first. Attempts count when they began.',
    }),
  })
  .meta({ id: 'EndpointStats' });
export type EndpointStats = z.infer<typeof EndpointStats>;
