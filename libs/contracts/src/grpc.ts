import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * How our gRPC interfaces are read: snake_case fields, int64 as number (milliseconds, offsets and versions stay far
 * below 2^53), absent optionals undefined.
 */
export const grpcLoader = { keepCase: true, longs: Number, defaults: false, arrays: true } as const;

/** For callers. gRPC's default backs off to two minutes: a service would stay away that long after it is back. */
export const clientChannel = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

/** Where a .proto lies: beside a bundle, or in the source tree. */
export function protoPath(name: string): string {
  const bundled = path.join(import.meta.dirname, `proto/${name}.proto`);
  return existsSync(bundled) ? bundled : path.join(import.meta.dirname, `../proto/${name}.proto`);
}
