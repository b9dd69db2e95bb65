import { type HistoryFeedItem, newId } from '@posthaste/contracts';
import { ScriptedHistory } from './scripted-history.js';

/** As the real one ends a page. */
const PAGE_BYTES = 4 * 1024 * 1024;

/** audit-log with feeds that a test fills and ages by hand; every endpoint it is asked about has the same one. */
export class ScriptedFeed {
  readonly history: ScriptedHistory;
  items: HistoryFeedItem[] = [];
  newest = 0;

  constructor() {
    this.history = new ScriptedHistory({
      ReadFeed: (request) => this.read(request),
      FeedHeads: ({ endpoints }) => ({
        data: (endpoints as string[]).map((endpoint) => ({ endpoint, newest: this.newest })),
      }),
    });
  }

  add(payload: string | Buffer, contentType = 'application/json'): HistoryFeedItem {
    const at = Date.now();
    const sequence = ++this.newest;
    const item = {
      sequence,
      message: newId('message', at),
      accepted_at: at,
      listed_at: at,
      meta_json: '',
      payload: Buffer.from(payload),
    };
    item.meta_json = JSON.stringify({
      v: 1,
      id: item.message,
      tenant: 't',
      account: 'a',
      type: 'order.placed',
      contentType,
      at,
      config: 1,
      routes: [],
    });
    this.items.push(item);
    return item;
  }

  /** Until now nothing has been kept. */
  expireAll(): void {
    this.items = [];
  }

  clear(): void {
    this.items = [];
    this.newest = 0;
    this.history.asked.length = 0;
  }

  asked(method: string): Record<string, unknown>[] {
    return this.history.asked.filter((one) => one.method === method).map(({ request }) => request);
  }

  private read(request: Record<string, unknown>): object {
    const { after = 0, accepted_since = 0, limit } = request as Record<string, number> & { limit: number };
    const found = this.items.filter((item) => item.sequence > after && item.accepted_at > accepted_since);
    let bytes = 0;
    const room = found.findIndex(({ payload }) => (bytes += payload?.length ?? 0) >= PAGE_BYTES) + 1;
    const items = found.slice(0, Math.min(limit, room || limit));
    const oldest = this.items[0]?.sequence ?? this.newest + 1;
    return { items, oldest, newest: this.newest, has_more: found.length > items.length };
  }
}
