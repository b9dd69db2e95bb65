import type { EndpointStats, HistoryStats, StatsQuery, StatsResolution } from '@posthaste/contracts';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';
import type { HistoryReader } from '../history/index.js';
import { fieldProblem } from '../http/refusals.js';

const MINUTE_MS = 60_000;
/** A day of minutes, with room for a caller who rounds. */
const MAX_POINTS = 1_500;
const STEPS: Record<StatsResolution, { minutes: number; points: number }> = {
  minute: { minutes: 1, points: 60 },
  hour: { minutes: 60, points: 24 },
  day: { minutes: 1_440, points: 30 },
};

/**
 * How an endpoint has been answering, out of counts that are kept by the minute: a range begins and ends with a whole
 * point of the resolution, which is told back. Who may read is not decided here: the caller has found the endpoint
 * within its key's reach.
 */
export class Stats {
  constructor(
    private readonly reader: HistoryReader,
    private readonly nowMs: () => number = Date.now,
  ) {}

  async of({ tenant, id: endpoint }: EndpointRow, query: StatsQuery): Promise<EndpointStats> {
    const { minutes: step, points } = STEPS[query.resolution];
    const pointMs = step * MINUTE_MS;
    const until = Math.ceil(ms(query.until, this.nowMs()) / pointMs);
    const since = Math.floor(ms(query.since, (until - points) * pointMs) / pointMs);
    refuseBadRange(since, until);
    const { data, total = {} } = await this.reader.read((client) =>
      client.getEndpointStats({ tenant, endpoint, since: since * step, until: until * step, step }),
    );
    const counted = new Map(data.map((point) => [point.minute ?? 0, point]));
    return {
      endpoint_id: endpoint,
      since: timeOf(since * pointMs),
      until: timeOf(until * pointMs),
      resolution: query.resolution,
      total: view(total),
      data: Array.from({ length: until - since }, (_, i) => ({
        at: timeOf((since + i) * pointMs),
        ...view(counted.get((since + i) * step) ?? {}),
      })),
    };
  }
}

function refuseBadRange(since: number, until: number): void {
  if (since >= 0 && until > since && until - since <= MAX_POINTS) return;
  const [code, message] =
    since < 0
      ? ['bad_range', 'must not be before 1970']
      : until <= since
        ? ['bad_range', 'must be before `until`']
        : ['too_many', `and \`until\` are ${until - since} points apart, more than ${MAX_POINTS}`];
  throw fieldProblem([{ pointer: '?since', code, message }], 'invalid_request');
}

const ms = (time: string | undefined, otherwise: number): number =>
  time === undefined ? otherwise : Date.parse(time);
const timeOf = (atMs: number): string => new Date(atMs).toISOString();

/** gRPC leaves out what is zero. */
function view({ delivered = 0, failed = 0, deferred = 0, p50, p95, p99 }: HistoryStats) {
  const hasLatency = p50 !== undefined && p95 !== undefined && p99 !== undefined;
  return { delivered, failed, deferred, latency_ms: hasLatency ? { p50, p95, p99 } : null };
}
