import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { SignatureVerdict } from './signature-verdict.js';

/**
 * The receivers of play and what arrived at them, in memory only: a restart forgets everything.
 *
 * Memory is bounded four ways: 1,000 receivers (the least recently used goes first), 1,000 requests and 8 MB of bodies
 * per receiver (the oldest go first), 256 KB kept of each body, and 256 MB of bodies in all. Sequence numbers go on
 * counting, so a reader sees that something is gone.
 */
export interface ReceiverSettings {
  status: number;
  delayMs: number;
  /** `whsec_...`; null = signatures are not checked. */
  secret: string | null;
  /** Each webhook-id is answered 500 this often before it succeeds. */
  failFirst: number;
}

export interface ReceivedRequest {
  /** From 1, per receiver, without gaps. */
  seq: number;
  receivedAt: string;
  method: string;
  path: string;
  /** As they arrived: order and repeats kept, names lower-case. */
  headers: [string, string][];
  /** null when the bytes are not UTF-8. */
  body: string | null;
  bodyBase64: string;
  bodyTruncated: boolean;
  /** Of the whole body, in bytes. */
  size: number;
  signature: SignatureVerdict;
  answeredStatus: number;
}

const MAX_RECEIVERS = 1_000;
const MAX_REQUESTS = 1_000;
const MAX_RECEIVER_BYTES = 8 * 1024 * 1024;
const MAX_TOTAL_BYTES = 256 * 1024 * 1024;
/** Webhook ids whose failures are counted, per receiver. */
const MAX_COUNTED_IDS = 10_000;
export const KEPT_BODY_BYTES = 256 * 1024;

export class Receiver {
  settings: ReceiverSettings = { status: 200, delayMs: 0, secret: null, failFirst: 0 };
  requests: ReceivedRequest[] = [];
  /** What its requests weigh: the text and the base64 of each body. */
  bytes = 0;
  private lastSeq = 0;
  private readonly failures = new LRUCache<string, number>({ max: MAX_COUNTED_IDS });
  private readonly waiting = new Set<() => void>();

  constructor(readonly token: string) {}

  /** The status to answer with; counts a failure that `failFirst` asks for. */
  nextStatus(webhookId: string | undefined): number {
    const failed = this.failures.get(webhookId ?? '') ?? 0;
    if (failed >= this.settings.failFirst) return this.settings.status;
    this.failures.set(webhookId ?? '', failed + 1);
    return 500;
  }

  add(request: Omit<ReceivedRequest, 'seq'>): void {
    this.requests.push({ seq: ++this.lastSeq, ...request });
    this.bytes += weight(request);
    while (this.requests.length > MAX_REQUESTS || this.bytes > MAX_RECEIVER_BYTES) this.dropOldest();
    this.wake();
  }

  change(settings: Partial<ReceiverSettings>): void {
    this.settings = { ...this.settings, ...settings };
    this.failures.clear();
  }

  clear(): void {
    this.requests = [];
    this.bytes = 0;
  }

  dropOldest(): void {
    const dropped = this.requests.shift();
    if (dropped !== undefined) this.bytes -= weight(dropped);
  }

  after(seq: number): ReceivedRequest[] {
    return this.requests.filter((request) => request.seq > seq);
  }

  /** Resolves at the next arrival, after `waitMs`, or when `signal` says nobody listens any more. */
  nextArrival(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      signal.addEventListener('abort', done);
      this.waiting.add(done);
    });
  }

  /** Lets everyone waiting go, as the process ends or the receiver is forgotten. */
  wake(): void {
    for (const done of [...this.waiting]) done();
  }
}

export class Receivers {
  private readonly byToken = new LRUCache<string, Receiver>({
    max: MAX_RECEIVERS,
    dispose: (receiver) => receiver.wake(),
  });

  create(): Receiver {
    return this.use(randomBytes(16).toString('base64url'));
  }

  /** Makes it when it is new: a receiver survives in its sender's configuration longer than in our memory. */
  use(token: string): Receiver {
    const known = this.byToken.get(token);
    if (known !== undefined) return known;
    const receiver = new Receiver(token);
    this.byToken.set(token, receiver);
    return receiver;
  }

  record(receiver: Receiver, request: Omit<ReceivedRequest, 'seq'>): void {
    receiver.add(request);
    let total = 0;
    for (const { bytes } of this.byToken.values()) total += bytes;
    for (const idle of this.byToken.rvalues()) {
      while (idle !== undefined && total > MAX_TOTAL_BYTES && idle.requests.length > 0) {
        total -= idle.bytes;
        idle.dropOldest();
        total += idle.bytes;
      }
    }
  }

  wakeAll(): void {
    for (const receiver of this.byToken.values()) receiver.wake();
  }
}

function weight({ body, bodyBase64 }: Pick<ReceivedRequest, 'body' | 'bodyBase64'>): number {
  return (body?.length ?? 0) + bodyBase64.length;
}
