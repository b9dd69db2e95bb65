import type { Observable } from 'rxjs';
import { clientChannel, grpcLoader, protoPath } from './grpc.js';
import type { HistoryAttempt } from './history.js';

/** The TypeScript face of `proto/dispatch.proto`. */
export const DISPATCH_PACKAGE = 'posthaste.dispatch.v1';
export const DISPATCH_SERVICE = 'Dispatch';

/** How a caller speaks the interface; `url` is host:port, or a gRPC target that names several dispatchers. */
export function dispatchClientTransport(url: string) {
  const where = { package: DISPATCH_PACKAGE, protoPath: protoPath('dispatch'), loader: grpcLoader };
  return { ...where, url, channelOptions: clientChannel };
}

export interface SendTestRequest {
  tenant: string;
  endpoint: string;
  version: number;
  event_type: string;
  payload: Buffer;
  subject?: { uid: string; name: string } | undefined;
}
export interface SendTestReply {
  attempt: HistoryAttempt;
}

/** Client side; Nest's gRPC client answers with Observables. */
export interface DispatchClient {
  sendTest(request: SendTestRequest): Observable<SendTestReply>;
}
