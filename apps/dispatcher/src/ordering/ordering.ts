import type { OwedKeysReply } from '@posthaste/contracts';
import { type Following, KeyOrder, type OrderedJob } from './key-order.js';

/**
 * The order of keys across processes. A partition's keys may have deliveries that are owed and that this process has
 * never seen: its first ordered job asks the scheduler for them, and the partition's ordered jobs wait for the answer.
 *
 *   a partition: unknown -> asking (jobs wait; after two seconds they go away instead) -> known -> forgotten (lost)
 *
 * Putting off is always safe: the scheduler brings them back in order. Nothing of this is asked or kept for accounts
 * that do not order.
 */
export interface OrderingJob extends OrderedJob {
  readonly partition: number;
  readonly isLost: boolean;
}

export interface OrderingOptions<J> {
  /** What is owed, with all taken into account that is in the log at the call. May reject. */
  owedKeys: (partition: number) => Promise<OwedKeysReply>;
  /** It is its turn. */
  go: (job: J) => void;
  /** One before it is owed elsewhere. */
  away: (job: J) => void;
  onUnknown: (partition: number, error: unknown) => void;
}

interface Asking<J> {
  kind: 'asking';
  waiting: J[];
  timer: NodeJS.Timeout;
  isLate: boolean;
}

const MAX_WAIT_MS = 2_000;
const RETRY_MS = 500;

export class Ordering<J extends OrderingJob> {
  private readonly orders = new Map<number, KeyOrder<J>>();
  private readonly partitions = new Map<number, Asking<J> | { kind: 'known' }>();

  constructor(private readonly options: OrderingOptions<J>) {}

  enter(job: J): void {
    const { partition } = job;
    const state = this.partitions.get(partition) ?? this.ask(partition);
    if (state.kind === 'known' || state.isLate) this.take(job, state.kind === 'known');
    else state.waiting.push(job);
  }

  /** See KeyOrder.ended. */
  ended(job: J, isOwed: boolean, offset: number): void {
    const order = this.orders.get(job.partition);
    if (order) this.follow(order.ended(job, isOwed, offset));
  }

  /** These partitions are another process's now. */
  lose(partitions: number[]): void {
    for (const partition of partitions) {
      const state = this.partitions.get(partition);
      if (state?.kind === 'asking') clearTimeout(state.timer);
      this.partitions.delete(partition);
      this.orders.delete(partition);
    }
  }

  close(): void {
    this.lose([...this.partitions.keys()]);
  }

  private take(job: J, isKnown: boolean): void {
    if (job.isLost) return;
    const order = this.orderOf(job.partition);
    // Not knowing what is owed before it, the only safe turn is none.
    if (!isKnown) order.isAway(job, Infinity);
    const turn = isKnown ? order.enter(job) : 'away';
    if (turn === 'go') this.options.go(job);
    if (turn === 'away') this.options.away(job);
  }

  private follow({ go, away }: Following<J>): void {
    for (const job of away) this.options.away(job);
    if (go) this.options.go(go);
  }

  private ask(partition: number): Asking<J> {
    const timer = setTimeout(() => {
      asking.isLate = true;
      this.release(asking, false);
    }, MAX_WAIT_MS);
    const asking: Asking<J> = { kind: 'asking', waiting: [], timer, isLate: false };
    this.partitions.set(partition, asking);
    void this.learn(partition, asking);
    return asking;
  }

  private async learn(partition: number, asking: Asking<J>): Promise<void> {
    while (this.partitions.get(partition) === asking) {
      try {
        const { data, as_of } = await this.options.owedKeys(partition);
        if (this.partitions.get(partition) !== asking) return;
        const order = this.orderOf(partition);
        for (const { endpoint, ordering_key: orderingKey, first, last } of data) {
          // Those between need not be known: the last one holds up all that come after it, until it is back itself.
          for (const position of [first, last]) order.isAway({ endpoint, orderingKey, position }, as_of);
        }
        this.partitions.set(partition, { kind: 'known' });
        clearTimeout(asking.timer);
        this.release(asking, true);
      } catch (error) {
        this.options.onUnknown(partition, error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  private release(asking: Asking<J>, isKnown: boolean): void {
    for (const job of asking.waiting.splice(0)) this.take(job, isKnown);
  }

  private orderOf(partition: number): KeyOrder<J> {
    let order = this.orders.get(partition);
    if (!order) {
      order = new KeyOrder();
      this.orders.set(partition, order);
    }
    return order;
  }
}
