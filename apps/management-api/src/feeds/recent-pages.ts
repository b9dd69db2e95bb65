import type { FeedItem } from './feed-page.js';

/**
 * Several of the largest pages, of 4 MB: followers at as many places would have each other's read again for every item.
 * What is kept is kept twice over, as it was read and as the frames made of it.
 */
const KEPT_BYTES = 24 * 1024 * 1024;
const ITEM_BYTES = 2_000;

interface Page {
  endpoint: string;
  items: FeedItem[];
  bytes: number;
}

/**
 * Pages that somebody has begun and not finished: a socket takes a few large items at a time, and reading the rest of a
 * page again for each would read it all many times. The oldest go first; whoever needed them has them read again.
 */
export class RecentPages {
  private readonly pages = new Map<string, Page[]>();
  /** In the order they were read. */
  private readonly order = new Set<Page>();
  private bytes = 0;

  keep(endpoint: string, items: FeedItem[]): void {
    const bytes = items.reduce((sum, { payload }) => sum + payload.length + ITEM_BYTES, 0);
    const page = { endpoint, items, bytes };
    this.order.add(page);
    this.pages.set(endpoint, [...(this.pages.get(endpoint) ?? []), page]);
    this.bytes += bytes;
    for (const oldest of this.order) {
      if (this.bytes <= KEPT_BYTES) return;
      this.drop(oldest);
    }
  }

  /** Items from the one after the sequence on; undefined when that is not kept. */
  after(endpoint: string, sequence: number): FeedItem[] | undefined {
    const page = this.pages.get(endpoint)?.findLast(({ items }) => isWithin(items, sequence));
    return page?.items.filter((item) => item.sequence > sequence);
  }

  /** Nobody reads it any more. */
  forget(endpoint: string): void {
    for (const page of this.pages.get(endpoint) ?? []) this.drop(page);
  }

  private drop(dropped: Page): void {
    const { endpoint, bytes } = dropped;
    this.order.delete(dropped);
    this.bytes -= bytes;
    const rest = (this.pages.get(endpoint) ?? []).filter((page) => page !== dropped);
    if (rest.length > 0) this.pages.set(endpoint, rest);
    else this.pages.delete(endpoint);
  }
}

/** True when the items hold what comes after the sequence. */
export function isWithin(items: FeedItem[], sequence: number): boolean {
  const [first, last] = [items[0], items.at(-1)];
  return (
    first !== undefined && last !== undefined && sequence >= first.sequence - 1 && sequence < last.sequence
  );
}
