import type { Observable } from 'rxjs';
import { clientChannel, grpcLoader, protoPath } from './grpc.js';

/** The TypeScript face of `proto/schedule.proto`. */
export const SCHEDULE_PACKAGE = 'posthaste.schedule.v1';
export const SCHEDULE_SERVICE = 'Schedule';

/** How a caller speaks the interface; `url` is host:port, or a gRPC target that names several schedulers. */
export function scheduleClientTransport(url: string) {
  const where = { package: SCHEDULE_PACKAGE, protoPath: protoPath('schedule'), loader: grpcLoader };
  return { ...where, url, channelOptions: clientChannel };
}

export interface OwedKeysRequest {
  partition: number;
  at_least: number;
}
export interface OwedKey {
  endpoint: string;
  ordering_key: string;
  first: number;
  last: number;
}
export interface OwedKeysReply {
  data: OwedKey[];
  as_of: number;
}

export interface ScheduleClient {
  listOwedKeys(request: OwedKeysRequest): Observable<OwedKeysReply>;
}
