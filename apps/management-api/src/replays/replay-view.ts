import type { HistoryReplay, Replay } from '@posthaste/contracts';
import { NO_END } from './chosen.js';

/** gRPC leaves out what is zero. */
export function replayView(replay: HistoryReplay): Replay {
  const { total = 0, requested = 0, succeeded = 0, failed = 0, since = 0, until, filter } = replay;
  const isOver = replay.status === 'completed' || replay.status === 'cancelled';
  const left = isOver ? 0 : Math.max(0, total - requested);
  return {
    id: replay.id,
    kind: replay.kind,
    account_id: replay.account,
    endpoint_id: replay.endpoint ?? null,
    to_endpoint_id: replay.to_endpoint ?? null,
    status: replay.status,
    since: since === 0 ? null : new Date(since).toISOString(),
    until: until === NO_END ? null : new Date(until).toISOString(),
    filter: {
      status: filter.statuses,
      event_types: filter.event_types,
      channels: filter.channels,
      error_class: filter.error_class ?? null,
      status_code: filter.status_code ?? null,
      named: filter.named ?? 0,
    },
    rate_per_second: replay.rate_per_second,
    requested_by: replay.by,
    created_at: new Date(replay.created_at).toISOString(),
    finished_at: replay.finished_at === undefined ? null : new Date(replay.finished_at).toISOString(),
    ...{ total, requested, succeeded, failed },
    estimated_seconds: Math.ceil(left / replay.rate_per_second),
    sample: null,
  };
}
