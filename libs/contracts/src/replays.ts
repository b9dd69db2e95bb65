import type { Observable } from 'rxjs';
import type { GetById, HistoryPage, PageRequest } from './history.js';

/** The TypeScript face of the service `Replays` in `proto/history.proto`. */
export const REPLAYS_SERVICE = 'Replays';

export type ReplayStatus = 'running' | 'paused' | 'completed' | 'cancelled';

/**
 * recover: what an endpoint lacks for its own fault. resend: settled deliveries that somebody chose. copy: the messages of
 * such deliveries, to another endpoint of the account. backfill: messages an endpoint never had, by the account's.
 */
export type ReplayKind = 'recover' | 'resend' | 'copy' | 'backfill';

/** What a replay is about, beside its range. Empty lists and absent fields leave nothing out. */
export interface ReplayFilter {
  /** Empty: exhausted, or cancelled because the endpoint was disabled or gone. */
  statuses: string[];
  event_types: string[];
  /** Only of a backfill. */
  channels: string[];
  error_class?: string | undefined;
  status_code?: number | undefined;
  /** How many deliveries or messages were named one by one. */
  named?: number | undefined;
}

/** What it is about one by one; an empty list names nothing, and leaves nothing out. */
export interface ReplayNames {
  deliveries: string[];
  messages: string[];
  /** Of a replay without an endpoint: those that can be sent to. */
  endpoints: string[];
}

export interface StartReplayRequest {
  id: string;
  tenant: string;
  account: string;
  kind: ReplayKind;
  /** Absent: any of `names.endpoints`. */
  endpoint?: string | undefined;
  /** Only of a copy. */
  to_endpoint?: string | undefined;
  since: number;
  until: number;
  filter: ReplayFilter;
  names: ReplayNames;
  rate_per_second: number;
  by: string;
  dry_run?: boolean;
}

/** gRPC leaves out what is zero. */
export interface HistoryReplay extends Omit<StartReplayRequest, 'dry_run' | 'names' | 'since'> {
  since?: number;
  created_at: number;
  status: ReplayStatus;
  total?: number;
  requested?: number;
  succeeded?: number;
  failed?: number;
  finished_at?: number | undefined;
}

export interface ReplayReply {
  replay?: HistoryReplay | undefined;
  /** Of a dry run, the first deliveries that match; they may not be there yet. */
  sample: string[];
}

export interface ListReplaysRequest {
  tenant: string;
  account?: string | undefined;
  page: PageRequest;
}

export interface SteerReplayRequest extends GetById {
  status: 'running' | 'paused' | 'cancelled';
}

export interface ReplaysClient {
  startReplay(request: StartReplayRequest): Observable<ReplayReply>;
  getReplay(request: GetById): Observable<ReplayReply>;
  listReplays(request: ListReplaysRequest): Observable<HistoryPage<HistoryReplay>>;
  steerReplay(request: SteerReplayRequest): Observable<ReplayReply>;
}
