import type { EndpointStatsReply, EndpointStatsRequest, HistoryStats } from '@posthaste/contracts';
import type pg from 'pg';
import { NO_BUCKET, quantile } from '../latency-buckets.js';

interface Counted {
  minute: number;
  bucket: number;
  delivered: number;
  failed: number;
  deferred: number;
}

/** An endpoint's series out of its minutes: buckets are added up, and the quantiles of each step told from them. */
export async function getEndpointStats(
  pool: pg.Pool,
  { tenant, endpoint, since, until, step: asked }: EndpointStatsRequest,
): Promise<EndpointStatsReply> {
  const step = Math.max(1, asked);
  const { rows } = await pool.query<Counted>({
    name: 'get-endpoint-stats',
    text: `select minute / $5 * $5 as minute, bucket, sum(delivered)::int as delivered, sum(failed)::int as failed,
             sum(deferred)::int as deferred
           from history.endpoint_minute
           where endpoint = $2 and minute >= $3 and minute < $4 and tenant = $1
           group by 1, 2`,
    values: [tenant, endpoint, since, until, step],
  });
  const steps = [...Map.groupBy(rows, ({ minute }) => minute)].sort(([a], [b]) => a - b);
  return {
    data: steps.map(([minute, counted]) => ({ minute, ...statsOf(counted) })),
    total: statsOf(rows),
  };
}

function statsOf(counted: Counted[]): HistoryStats {
  const sum = (of: 'delivered' | 'failed' | 'deferred'): number =>
    counted.reduce((all, row) => all + row[of], 0);
  const latencies = new Map<number, number>();
  for (const { bucket, delivered, failed } of counted) {
    if (bucket !== NO_BUCKET) latencies.set(bucket, (latencies.get(bucket) ?? 0) + delivered + failed);
  }
  return {
    delivered: sum('delivered'),
    failed: sum('failed'),
    deferred: sum('deferred'),
    p50: quantile(latencies, 0.5),
    p95: quantile(latencies, 0.95),
    p99: quantile(latencies, 0.99),
  };
}
