import type { FeedItem } from './feed-page.js';

/** What is kept twice over: as it was read, and as the frames made of it. */
const KEPT_BYTES = 16 * 1024 * 1024;
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
  private readonly order: Page[] = [];
  private bytes = 0;

  keep(endpoint: string, items: FeedItem[]): void {
    const bytes = items.reduce((sum, { payload }) => sum + payload.length + ITEM_BYTES, 0);
    const page = { endpoint, items, bytes };
    this.order.push(page);
    this.pages.set(endpoint, [...(this.pages.get(endpoint) ?? []), page]);
    this.bytes += bytes;
    while (this.bytes > KEPT_BYTES) this.dropOldest();
  }

  /** Items from the one after the sequence on; undefined when that is not kept. */
  after(endpoint: string, sequence: number): FeedItem[] | undefined {
    const page = this.pages.get(endpoint)?.findLast(({ items }) => isWithin(items, sequence));
    return page?.items.filter((item) => item.sequence > sequence);
  }

  private dropOldest(): void {
    const oldest = this.order.shift();
    if (!oldest) return;
    this.bytes -= oldest.bytes;
    const rest = (this.pages.get(oldest.endpoint) ?? []).filter((page) => page !== oldest);
    if (rest.length > 0) this.pages.set(oldest.endpoint, rest);
    else this.pages.delete(oldest.endpoint);
  }
}

/** True when the items hold what comes after the sequence. */
export function isWithin(items: FeedItem[], sequence: number): boolean {
  const [first, last] = [items[0], items.at(-1)];
  return (
    first !== undefined && last !== undefined && sequence >= first.sequence - 1 && sequence < last.sequence
  );
}
