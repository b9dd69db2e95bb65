/**
 * A kafkajs client that is replaced when a call does not come back. A connection that ends while it is being made
 * again can leave kafkajs with a request nobody will answer and no timer to notice: that call, and others after it,
 * would hang for ever. What hangs is left behind with its client; the call may be made again on the next.
 */
export interface Connectable {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

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
    if (this.current !== stuck) return;
    this.current = undefined;
    this.onStuck('a call to kafkajs did not come back; its client is replaced');
    void stuck.then((client) => client.disconnect()).catch(() => undefined);
  }
}
