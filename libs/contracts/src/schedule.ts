import type { Observable } from 'rxjs';
import { clientChannel, grpcLoader, protoPath } from './grpc.js';

/** The TypeScript face of `proto/schedule.proto`. */
export const SCHEDULE_SERVICE = 'Schedule';

/** How Nest's gRPC transport speaks the interface; `url` is host:port. */
export function scheduleTransport(url: string) {
  return { package: 'posthaste.schedule.v1', protoPath: protoPath('schedule'), loader: grpcLoader, url };
}

export function scheduleClientTransport(url: string) {
  return { ...scheduleTransport(url), channelOptions: clientChannel };
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
