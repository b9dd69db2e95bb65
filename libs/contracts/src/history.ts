import type { Observable } from 'rxjs';
import { clientChannel, grpcLoader, protoPath } from './grpc.js';

/** The TypeScript face of `proto/history.proto`. */
export const HISTORY_PACKAGE = 'posthaste.history.v1';
export const HISTORY_SERVICE = 'History';

/** Both sides must allow it: 100 due deliveries of 256 KB are far above gRPC's 4 MB. */
const HISTORY_MESSAGE_BYTES = 64 * 1024 * 1024;

/** How Nest's gRPC transport speaks the interface; `url` is host:port. */
export function historyTransport(url: string) {
  return {
    package: HISTORY_PACKAGE,
    protoPath: protoPath('history'),
    loader: grpcLoader,
    url,
    maxSendMessageLength: HISTORY_MESSAGE_BYTES,
    maxReceiveMessageLength: HISTORY_MESSAGE_BYTES,
  };
}

/** The same for a caller. */
export function historyClientTransport(url: string) {
  return { ...historyTransport(url), channelOptions: clientChannel };
}

export interface PageRequest {
  limit: number;
  after_at?: number | undefined;
  after_id?: string | undefined;
}
export interface GetById {
  tenant: string;
  id: string;
}
/** `as_of_now`: once history has all the log holds at that moment, or UNAVAILABLE where that takes more than 2 s. */
export interface GetAsOf extends GetById {
  as_of_now?: boolean | undefined;
}
export interface HistoryMessage {
  id: string;
  tenant: string;
  account: string;
  event_type: string;
  channels: string[];
  tags: string[];
  content_type: string;
  accepted_at: number;
  config_version: number;
  stale_config?: boolean;
  payload_bytes: number;
  deliveries: number;
  shredded_at?: number | undefined;
}
export interface ShredPayloadRequest extends GetById {
  /** The key's id. */
  by: string;
}
export interface ShredPayloadReply {
  found: boolean;
  open: number;
}
export interface ListMessagesRequest {
  tenant: string;
  account: string;
  page: PageRequest;
  event_type?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
  id_prefix?: string | undefined;
  channel?: string | undefined;
  tag?: string | undefined;
  payload?: PayloadMatch | undefined;
}
/** The payload's value at a path, and the JSON scalar it is to be. */
export interface PayloadMatch {
  path: string[];
  value_json: string;
}
export interface HistoryDelivery {
  id: string;
  message: string;
  tenant: string;
  account: string;
  endpoint: string;
  event_type: string;
  status: string;
  attempts: number;
  accepted_at: number;
  next_attempt_at?: number | undefined;
  settled_at?: number | undefined;
  last_status_code?: number | undefined;
  last_error_class?: string | undefined;
  reason?: string | undefined;
}
export interface ListDeliveriesRequest extends Omit<ListMessagesRequest, 'payload'> {
  status?: string | undefined;
  endpoint?: string | undefined;
  message?: string | undefined;
  /** Of the latest attempt. */
  error_class?: string | undefined;
  status_code?: number | undefined;
}
export interface ListAccountAttemptsRequest extends Omit<ListMessagesRequest, 'payload'> {
  endpoint?: string | undefined;
  outcome?: string | undefined;
  error_class?: string | undefined;
  status_code?: number | undefined;
}
export interface HistoryAttempt {
  id: string;
  delivery: string;
  number: number;
  trigger: string;
  started_at: number;
  duration_ms: number;
  outcome: string;
  error_class?: string | undefined;
  error_message?: string | undefined;
  request_url: string;
  request_headers_json: string;
  response_status?: number | undefined;
  response_headers_json?: string | undefined;
  response_body?: Buffer | undefined;
  response_body_truncated?: boolean | undefined;
  address?: string | undefined;
  tls_json?: string | undefined;
  timings_json: string;
  endpoint_version: number;
  profile: string;
  next_attempt_at?: number | undefined;
  shadow_json?: string | undefined;
  requested_at?: number | undefined;
  requested_by?: string | undefined;
  replay?: string | undefined;
  endpoint?: string | undefined;
}
/** A repeated field that is empty arrives as [] (`arrays: true`); a false or zero scalar may be absent. */
export interface HistoryPage<T> {
  data: T[];
  has_more?: boolean;
  /** Where the next page begins, when this one ended before it was full. */
  reached_at?: number | undefined;
  reached_id?: string | undefined;
}
export interface DueDeliveryPayload {
  id: string;
  status: string;
  message_meta_json: string;
  payload: Buffer;
  /** How many attempts history knows of; absent when none. */
  attempts?: number | undefined;
  /** The message's; absent on what history holds from before positions. */
  position?: string | undefined;
}

/** Whole minutes since 1970; `until` does not belong to it. */
export interface EndpointStatsRequest {
  tenant: string;
  endpoint: string;
  since: number;
  until: number;
  step: number;
}
/** gRPC leaves out what is zero. */
export interface HistoryStats {
  minute?: number | undefined;
  delivered?: number | undefined;
  failed?: number | undefined;
  deferred?: number | undefined;
  p50?: number | undefined;
  p95?: number | undefined;
  p99?: number | undefined;
}
export interface EndpointStatsReply {
  data: HistoryStats[];
  total?: HistoryStats | undefined;
}

/** What the log says of a message and some endpoints. */
export interface RoutesRequest {
  tenant: string;
  message: string;
  endpoints: string[];
}
export interface RoutesReply {
  routes: { endpoint: string; version: number; feed?: boolean | undefined }[];
  deliveries: HistoryDelivery[];
  partial?: boolean | undefined;
}

/** The endpoint's latest attempt. */
export interface LastAttemptRequest {
  tenant: string;
  account: string;
  endpoint: string;
}

/** A feed from a place on: after a sequence, or accepted after (`since`) and before (`until`) a time. */
export interface ReadFeedRequest {
  tenant: string;
  endpoint: string;
  limit: number;
  after?: number | undefined;
  /** Listed after, and before. */
  since?: number | undefined;
  until?: number | undefined;
  /** Accepted after. */
  accepted_since?: number | undefined;
}
export interface HistoryFeedItem {
  sequence: number;
  message: string;
  accepted_at: number;
  /** Not before `accepted_at`, and greater than that of every item before. */
  listed_at: number;
  meta_json: string;
  /** Absent when it is empty. */
  payload?: Buffer | undefined;
}
export interface HistoryFeedPage {
  items: HistoryFeedItem[];
  /** The first sequence that is still there; `newest + 1` when none is. */
  oldest: number;
  /** Absent before the first. */
  newest?: number | undefined;
  has_more?: boolean;
}
export interface FeedHead {
  endpoint: string;
  newest: number;
}

/** A part of what was meant for an endpoint; `to` and `until` do not belong to it. */
export interface MeantRange {
  tenant: string;
  account: string;
  endpoint: string;
  /** Positions. */
  from?: string | undefined;
  to?: string | undefined;
  /** Times of acceptance, ms since 1970. */
  since?: number | undefined;
  until?: number | undefined;
}
export interface ListMeantRequest {
  range: MeantRange;
  after?: string | undefined;
  limit: number;
}
export interface HistoryMeant {
  position: string;
  delivery: string;
  message: string;
  event_type: string;
  accepted_at: number;
  status: string;
  attempts: number;
  /** Absent when the payload is not kept any more. */
  payload_sha256?: string | undefined;
}
export interface CompareReceivedRequest {
  range: MeantRange;
  ids: string[];
}
export interface CompareReceivedReply {
  missing: string[];
  unknown: string[];
  /** Where the range goes on; absent when all of it was compared. */
  next_from?: string | undefined;
}

/** Client side; Nest's gRPC client answers with Observables. */
export interface HistoryClient {
  getMessage(request: GetAsOf): Observable<{ message?: HistoryMessage }>;
  getPayload(request: GetById): Observable<{ payload?: Buffer; content_type?: string }>;
  listMessages(request: ListMessagesRequest): Observable<HistoryPage<HistoryMessage>>;
  getDelivery(request: GetAsOf): Observable<{ delivery?: HistoryDelivery }>;
  listDeliveries(request: ListDeliveriesRequest): Observable<HistoryPage<HistoryDelivery>>;
  listAttempts(request: {
    tenant: string;
    delivery: string;
    page: PageRequest;
  }): Observable<HistoryPage<HistoryAttempt>>;
  listAccountAttempts(request: ListAccountAttemptsRequest): Observable<HistoryPage<HistoryAttempt>>;
  getAttempt(request: GetById): Observable<{ attempt?: HistoryAttempt }>;
  getEndpointStats(request: EndpointStatsRequest): Observable<EndpointStatsReply>;
  getRoutes(request: RoutesRequest): Observable<RoutesReply>;
  getLastAttempt(request: LastAttemptRequest): Observable<{ started_at?: number }>;
  getDueDeliveries(request: { ids: string[] }): Observable<{ data: DueDeliveryPayload[] }>;
  readFeed(request: ReadFeedRequest): Observable<HistoryFeedPage>;
  feedHeads(request: { endpoints: string[] }): Observable<{ data: FeedHead[] }>;
  listMeant(request: ListMeantRequest): Observable<HistoryPage<HistoryMeant>>;
  compareReceived(request: CompareReceivedRequest): Observable<CompareReceivedReply>;
  shredPayload(request: ShredPayloadRequest): Observable<ShredPayloadReply>;
}
