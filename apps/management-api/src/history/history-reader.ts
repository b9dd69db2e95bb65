import {
  AUDIT_TREE_SERVICE,
  type AuditTreeClient,
  HISTORY_SERVICE,
  type HistoryClient,
  historyClientTransport,
  REPLAYS_SERVICE,
  type ReplaysClient,
} from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { ClientGrpcProxy } from '@nestjs/microservices';
import { lastValueFrom, type Observable, timeout, TimeoutError } from 'rxjs';

/** Longer than any read takes that will still succeed. */
const DEADLINE_MS = 5_000;

/**
 * Reads history from audit-log, which owns it. One connection per process, made at the first read and remade by itself;
 * while audit-log is away a read is `unavailable` at once, and one that it does not answer after 5 s.
 */
export class HistoryReader {
  private readonly proxy: ClientGrpcProxy;
  private readonly client: HistoryClient;
  private readonly replays: ReplaysClient;
  private readonly auditTree: AuditTreeClient;

  /** @param address host:port of audit-log's gRPC interface. */
  constructor(address: string) {
    this.proxy = new ClientGrpcProxy(historyClientTransport(address));
    this.client = this.proxy.getService<HistoryClient>(HISTORY_SERVICE);
    this.replays = this.proxy.getService<ReplaysClient>(REPLAYS_SERVICE);
    this.auditTree = this.proxy.getService<AuditTreeClient>(AUDIT_TREE_SERVICE);
  }

  /** Answers what `call` asks of audit-log, or throws `unavailable`. */
  async read<T>(call: (client: HistoryClient) => Observable<T>): Promise<T> {
    return answerOf(call(this.client));
  }

  /** The same about replays. */
  async ask<T>(call: (client: ReplaysClient) => Observable<T>): Promise<T> {
    return answerOf(call(this.replays));
  }

  /** The same about the audit tree. */
  async audit<T>(call: (client: AuditTreeClient) => Observable<T>): Promise<T> {
    return answerOf(call(this.auditTree));
  }

  close(): void {
    this.proxy.close();
  }
}

async function answerOf<T>(answer: Observable<T>): Promise<T> {
  try {
    return await lastValueFrom(answer.pipe(timeout(DEADLINE_MS)));
  } catch (error) {
    if (!isAway(error)) throw error;
    throw new Problem('unavailable', 'History cannot be read right now. Publishing goes on.', [], 1);
  }
}

/** gRPC's CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED and UNAVAILABLE. Others would be a defect of ours. */
const AWAY = new Set<unknown>([1, 4, 8, 14]);

export function isAway(error: unknown): boolean {
  return error instanceof TimeoutError || AWAY.has((error as { code?: unknown } | null)?.code);
}
