import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A customer's endpoint: a real HTTP server on loopback that keeps every request it got and answers as told.
 *
 * It promises: a request is in `requests`, with its exact body bytes, before its answer leaves; answers are given in
 * the order they were planned; `whenReceived` wakes on the request that fulfils it. It does not verify anything.
 *
 * A request's way: body read -> kept -> the plan of its webhook-id, else of its path, else 200 -> answered.
 */
export interface ReceivedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** When its body was complete, ms since 1970. */
  at: number;
  webhookId: string;
  /** What it was answered; null when it never was. */
  status: number | null;
}

/** A status; or more exactly: when, with what, or never. A dripping body sends one byte per `dripMs`. */
export type Answer =
  | number
  | { status: number; body?: string; headers?: Record<string, string>; delayMs?: number; dripMs?: number }
  | 'hang';

export interface AnswerPlan {
  path?: string;
  webhookId?: string;
  /** One for each request in turn, the last one for all that follow; or what the request itself asks for. */
  answers: Answer[] | ((request: ReceivedRequest) => Answer);
}

interface Waiter {
  fulfilled(): boolean;
  resolve(): void;
}

const WAIT_MS = 20_000;

export class Receiver {
  readonly requests: ReceivedRequest[] = [];
  private readonly plans: { plan: AnswerPlan; given: number }[] = [];
  private readonly waiters = new Set<Waiter>();
  private readonly drips = new Set<NodeJS.Timeout>();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Receiver> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    const receiver = new Receiver(server);
    server.on('request', (request, response) => receiver.take(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return receiver;
  }

  url(path = '/'): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}${path}`;
  }

  /** Plans made later come first. */
  plan(plan: AnswerPlan): void {
    this.plans.unshift({ plan, given: 0 });
  }

  at(path: string): ReceivedRequest[] {
    return this.requests.filter((request) => request.path === path);
  }

  /**
   * Resolves with the matching requests once there are `count` of them; rejects when they have not come in time.
   * @param count the requests that match, also those received before the call.
   */
  async whenReceived(
    count: number,
    matches: (request: ReceivedRequest) => boolean = () => true,
    deadlineMs: number = WAIT_MS,
  ): Promise<ReceivedRequest[]> {
    const found = (): ReceivedRequest[] => this.requests.filter(matches);
    if (found().length >= count) return found();
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        fulfilled: () => found().length >= count,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      const timer = setTimeout(() => {
        this.waiters.delete(waiter);
        reject(new Error(`${found().length} of ${count} awaited requests came within ${deadlineMs} ms`));
      }, deadlineMs);
      this.waiters.add(waiter);
    });
    return found();
  }

  /** Cuts open connections, hanging ones too. */
  async stop(): Promise<void> {
    for (const drip of this.drips) clearInterval(drip);
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private take(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('end', () => {
      const webhookId = request.headers['webhook-id'];
      const received: ReceivedRequest = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks),
        at: Date.now(),
        webhookId: typeof webhookId === 'string' ? webhookId : '',
        status: null,
      };
      this.requests.push(received);
      this.answer(received, response);
      for (const waiter of [...this.waiters]) {
        if (!waiter.fulfilled()) continue;
        this.waiters.delete(waiter);
        waiter.resolve();
      }
    });
  }

  private answer(received: ReceivedRequest, response: ServerResponse): void {
    const answer = this.answerFor(received);
    if (answer === 'hang') return;
    const full = typeof answer === 'number' ? { status: answer } : answer;
    if (full.delayMs === undefined) {
      this.send(received, response, full);
      return;
    }
    setTimeout(() => this.send(received, response, full), full.delayMs).unref();
  }

  private send(
    received: ReceivedRequest,
    response: ServerResponse,
    { status, body = '', headers = {}, dripMs }: Exclude<Answer, number | 'hang'>,
  ): void {
    received.status = status;
    response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
    if (dripMs === undefined) {
      response.end(body);
      return;
    }
    const bytes = Buffer.from(body);
    let sent = 0;
    const drip = setInterval(() => {
      response.write(bytes.subarray(sent, ++sent));
      if (sent < bytes.length && !response.destroyed) return;
      clearInterval(drip);
      this.drips.delete(drip);
      response.end();
    }, dripMs);
    this.drips.add(drip);
  }

  private answerFor(request: ReceivedRequest): Answer {
    const { webhookId, path } = request;
    const found = this.plans.find(
      ({ plan }) =>
        (plan.webhookId === undefined || plan.webhookId === webhookId) &&
        (plan.path === undefined || plan.path === path),
    );
    if (found === undefined) return 200;
    const { answers } = found.plan;
    if (typeof answers === 'function') return answers(request);
    return answers[Math.min(found.given++, answers.length - 1)] ?? 200;
  }
}
