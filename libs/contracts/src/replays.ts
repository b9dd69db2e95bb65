import type { Observable } from 'rxjs';
import type { GetById, HistoryPage, PageRequest } from './history.js';

/** The TypeScript face of the service `Replays` in `proto/history.proto`. */
export const REPLAYS_SERVICE = 'Replays';

export type ReplayStatus = 'running' | 'paused' | 'completed' | 'cancelled';

export interface StartReplayRequest {
  id: string;
  tenant: string;
  account: string;
  endpoint: string;
  since: number;
  until: number;
  rate_per_second: number;
  by: string;
  dry_run?: boolean;
}

/** gRPC leaves out what is zero. */
export interface HistoryReplay extends Omit<StartReplayRequest, 'dry_run'> {
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
  /** Of a dry run, the first deliveries that match. */
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
