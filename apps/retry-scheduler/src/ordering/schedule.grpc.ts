import {
  grpcLoader,
  type OwedKeysReply,
  type OwedKeysRequest,
  protoPath,
  SCHEDULE_PACKAGE,
  SCHEDULE_SERVICE,
  topics,
} from '@posthaste/contracts';
import type { ProjectionPositions } from '@posthaste/event-log';
import { GrpcRefusal, type Logger, serveGrpc } from '@posthaste/runtime';
import type pg from 'pg';
import { listOwedKeys } from './sql/list-owed-keys.js';

/** Below the 10 s a dispatcher waits. */
const CATCH_UP_MS = 8_000;

/** Serves the gRPC interface `Schedule`. Any replica can: what it answers from is in the database. */
export async function serveSchedule(
  address: string,
  { pool, positions, logger }: { pool: pg.Pool; positions: ProjectionPositions; logger: Logger },
): Promise<{ port: number; close(): void }> {
  // gRPC leaves out what is zero.
  const ListOwedKeys = async ({
    partition = 0,
    at_least = 0,
  }: Partial<OwedKeysRequest>): Promise<OwedKeysReply> => {
    const { name: topic } = topics.deliveries;
    await positions.whenReached(
      [{ topic, partition, offset: at_least }],
      AbortSignal.timeout(CATCH_UP_MS),
      20,
    );
    const { keys, asOf } = await listOwedKeys(pool, partition);
    if (asOf < at_least) throw new GrpcRefusal('UNAVAILABLE', `the index has read up to ${asOf} only`);
    return { data: keys, as_of: asOf };
  };
  return serveGrpc(address, {
    package: SCHEDULE_PACKAGE,
    service: SCHEDULE_SERVICE,
    protoPath: protoPath('schedule'),
    loader: grpcLoader,
    methods: { ListOwedKeys },
    onError: (error, method) => logger.error({ err: error, method }, 'schedule.call_failed'),
  });
}
