/**
 * A kafkajs client that is replaced when a call does not come back. A connection that ends while it is being made
 * again can leave kafkajs with a request nobody will answer and no timer to notice: that call, and others after it,
 * would hang for ever. What hangs is left behind with its client; the call may be made again on the next.
 *
 * A client also believes what it has learned of the cluster for minutes, and kafkajs's admin does not look again when
 * a broker tells it that a leader has moved, or is not there yet: only a new client is sure to know better.
 */
export interface Connectable {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

export class RenewableClient<Client extends Connectable> {
  private current: Promise<Client> | undefined;
  private isClosed = false;

  constructor(
    private readonly create: () => Client,
    private readonly timeoutMs: number,
    private readonly onStuck: (message: string) => void,
  ) {}

  async connect(): Promise<void> {
    await this.client();
  }

  /** Rejects with the call's error, or when it took too long. */
  async use<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const connected = this.client();
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.abandon(connected);
        reject(new Error(`no answer from kafkajs within ${this.timeoutMs} ms`));
      }, this.timeoutMs);
    });
    try {
      return await Promise.race([connected.then(work), tooLong]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** As `use`, and again for as long as a call may take while the cluster answers that it will know better soon. */
  async ask<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.timeoutMs;
    for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      const asked = this.current;
      try {
        return await this.use(work);
      } catch (error) {
        if (!isPassing(error) || performance.now() + waitMs > deadline) throw error;
        await sleep(waitMs);
        if (waitMs > RETRY_MIN_MS && asked) this.replace(asked);
      }
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.current?.then((client) => client.disconnect()).catch(() => undefined);
  }

  private client(): Promise<Client> {
    if (this.isClosed) return Promise.reject(new Error('the client is closed'));
    this.current ??= this.connectNew();
    return this.current;
  }

  private async connectNew(): Promise<Client> {
    const client = this.create();
    try {
      await client.connect();
      return client;
    } catch (error) {
      this.current = undefined;
      throw error;
    }
  }

  private abandon(stuck: Promise<Client>): void {
    if (this.replace(stuck)) this.onStuck('a call to kafkajs did not come back; its client is replaced');
  }

  /** False when another call has done so already. */
  private replace(old: Promise<Client>): boolean {
    if (this.current !== old) return false;
    this.current = undefined;
    void old.then((client) => client.disconnect()).catch(() => undefined);
    return true;
  }
}

/** What kafkajs itself calls retriable, such as a partition without its leader. */
const isPassing = (error: unknown): boolean =>
  error instanceof Error && 'retriable' in error && error.retriable === true;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
