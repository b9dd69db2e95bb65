/**
 * Turns many look-ups at once into one query. An ask is answered by a query that begins after it was made, never by
 * one already running: what a caller saw committed before asking is in the answer.
 *
 * States: idle -> (an ask) scheduled -> running -> idle, or scheduled again when others have asked meanwhile. From idle
 * the query begins at the end of the event loop's turn, so that requests that arrived together share it; under load
 * queries begin at least `spacingMs` apart, which bounds what the database is asked and lets the sharing grow.
 */
export class CoalescedLookup<Ask, Answer> {
  private waiting = new Map<string, { ask: Ask; answer: Promise<Answer>; settle: Settle<Answer> }>();
  private running = false;
  private scheduled = false;
  private lastBegan = Number.NEGATIVE_INFINITY;

  /** `find` answers in the order asked; what it throws, everyone who waited for it gets. */
  constructor(
    private readonly find: (asks: Ask[]) => Promise<Answer[]>,
    private readonly spacingMs = 0,
  ) {}

  /** Asks with one key are one ask. */
  ask(key: string, ask: Ask): Promise<Answer> {
    const same = this.waiting.get(key);
    if (same) return same.answer;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.waiting.set(key, { ask, answer: promise, settle: { resolve, reject } });
    this.schedule();
    return promise;
  }

  private schedule(): void {
    if (this.scheduled || this.running || this.waiting.size === 0) return;
    this.scheduled = true;
    const waitMs = this.lastBegan + this.spacingMs - performance.now();
    if (waitMs <= 0) setImmediate(() => void this.run());
    else setTimeout(() => void this.run(), waitMs);
  }

  private async run(): Promise<void> {
    const asked = [...this.waiting.values()];
    this.waiting = new Map();
    this.scheduled = false;
    this.running = true;
    this.lastBegan = performance.now();
    try {
      const answers = await this.find(asked.map(({ ask }) => ask));
      asked.forEach(({ settle }, i) => settle.resolve(answers[i] as Answer));
    } catch (error) {
      for (const { settle } of asked) settle.reject(error);
    } finally {
      this.running = false;
      this.schedule();
    }
  }
}

interface Settle<Answer> {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}
