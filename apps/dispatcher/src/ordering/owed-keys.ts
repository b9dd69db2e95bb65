import {
  type OwedKeysReply,
  SCHEDULE_SERVICE,
  type ScheduleClient,
  scheduleClientTransport,
  topics,
} from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import { firstValueFrom, timeout } from 'rxjs';

/** Reading the log's end and waiting for the scheduler to come that far; asked again when it takes longer. */
const CALL_LIMIT_MS = 10_000;

export interface OwedKeys {
  ofPartition: (partition: number) => Promise<OwedKeysReply>;
  close: () => Promise<void>;
}

/** Asks retry-scheduler over gRPC what is owed to ordering keys, with all taken into account that is in the log now. */
export function owedKeys(address: string, log: Pick<EventLog, 'admin'>): OwedKeys {
  let connecting: ReturnType<typeof connect> | undefined;
  return {
    ofPartition: async (partition) => {
      const { schedule } = await (connecting ??= connect(address));
      const ends = await log.admin.endOffsets(topics.deliveries);
      const at_least = ends.find((end) => end.partition === partition)?.offset ?? 0;
      return firstValueFrom(schedule.listOwedKeys({ partition, at_least }).pipe(timeout(CALL_LIMIT_MS)));
    },
    close: async () => (await connecting)?.proxy.close(),
  };
}

/** Loaded when first needed: a dispatcher whose accounts do not order keeps 20 MB for other things. */
async function connect(address: string) {
  const { ClientGrpcProxy } = await import('@nestjs/microservices');
  const proxy = new ClientGrpcProxy(scheduleClientTransport(address));
  return { proxy, schedule: proxy.getService<ScheduleClient>(SCHEDULE_SERVICE) };
}
