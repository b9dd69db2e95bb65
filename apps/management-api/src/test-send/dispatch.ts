import { ClientGrpcProxy } from '@nestjs/microservices';
import {
  DISPATCH_SERVICE,
  type DispatchClient,
  dispatchClientTransport,
  type HistoryAttempt,
  type SendTestRequest,
} from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { lastValueFrom, timeout } from 'rxjs';
import { isAway } from '../history/index.js';

/** What a dispatcher may need beside the receiver's own time: its configuration, and the way there and back. */
const SPARE_MS = 5_000;
const RESOURCE_EXHAUSTED = 8;

/** Asks a dispatcher, any of them, for what only dispatchers can do. One connection per process, remade by itself. */
export class Dispatch {
  private readonly proxy: ClientGrpcProxy;
  private readonly client: DispatchClient;

  /** @param address host:port of a dispatcher's gRPC interface, or a gRPC target that names several. */
  constructor(address: string) {
    this.proxy = new ClientGrpcProxy(dispatchClientTransport(address));
    this.client = this.proxy.getService<DispatchClient>(DISPATCH_SERVICE);
  }

  /**
   * What came of a test message; a Problem when there are too many, or when no dispatcher can send it.
   *
   * @param receiverMs how long the receiver may take
   */
  async sendTest(request: SendTestRequest, receiverMs: number): Promise<HistoryAttempt> {
    try {
      const reply = this.client.sendTest(request).pipe(timeout(receiverMs + SPARE_MS));
      return (await lastValueFrom(reply)).attempt;
    } catch (error) {
      if ((error as { code?: unknown } | null)?.code === RESOURCE_EXHAUSTED) {
        const detail = 'Too many tests of this endpoint or of your endpoints are under way.';
        throw new Problem('too_many_requests', detail, [], 1);
      }
      if (!isAway(error)) throw error;
      const detail =
        'No dispatcher can send a test right now. Publishing and deliveries are not affected by this.';
      throw new Problem('unavailable', detail, [], 1);
    }
  }

  close(): void {
    this.proxy.close();
  }
}
