import path from 'node:path';
import type { Observable } from 'rxjs';
import { type HistoryAttempt, historyLoader, historyProtoPath } from './history.js';

/** The TypeScript face of `proto/dispatch.proto`, read as that of `proto/history.proto` is. */
export const DISPATCH_PACKAGE = 'posthaste.dispatch.v1';
export const DISPATCH_SERVICE = 'Dispatch';
export const dispatchLoader = historyLoader;

export function dispatchProtoPath(): string {
  return path.join(path.dirname(historyProtoPath()), 'dispatch.proto');
}

/** How a caller speaks the interface; `url` is host:port, or a gRPC target that names several dispatchers. */
export function dispatchClientTransport(url: string) {
  return {
    package: DISPATCH_PACKAGE,
    protoPath: dispatchProtoPath(),
    loader: dispatchLoader,
    url,
    // gRPC's default backs off to two minutes: tests would be refused that long after a dispatcher is back.
    channelOptions: { 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1_000 },
  };
}

export interface SendTestRequest {
  tenant: string;
  endpoint: string;
  version: number;
  event_type: string;
  payload: Buffer;
}
export interface SendTestReply {
  attempt: HistoryAttempt;
}

/** Client side; Nest's gRPC client answers with Observables. */
export interface DispatchClient {
  sendTest(request: SendTestRequest): Observable<SendTestReply>;
}
