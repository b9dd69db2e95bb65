import { ClientGrpcProxy } from '@nestjs/microservices';
import { HISTORY_SERVICE, type HistoryClient, historyClientTransport } from '@posthaste/contracts';
import { firstValueFrom, timeout } from 'rxjs';
import type { DuePayloads } from './hand-over.js';

/** Below the 10 s after which PostgreSQL ends a transaction that waits for us. */
const CALL_LIMIT_MS = 5_000;

/** Asks audit-log over gRPC. The connection is made at the first call and again whenever it is lost. */
export function historyPayloads(address: string): { payloads: DuePayloads; close(): void } {
  const proxy = new ClientGrpcProxy(historyClientTransport(address));
  const history = proxy.getService<HistoryClient>(HISTORY_SERVICE);
  return {
    payloads: async (ids) =>
      ids.length === 0
        ? []
        : (await firstValueFrom(history.getDueDeliveries({ ids }).pipe(timeout(CALL_LIMIT_MS)))).data,
    close: () => {
      proxy.close();
    },
  };
}
