import type { Logger } from '@posthaste/runtime';
import { Channel, type Wanted } from './channel.js';
import type { FeedItem, FeedPage } from './feed-page.js';
import type { EndReason, Follower } from './follower.js';
import { RecentPages } from './recent-pages.js';

/** What the poller asks of audit-log. */
export interface FeedReads {
  heads(endpoints: string[]): Promise<Map<string, number>>;
  page(feed: { tenant: string; endpoint: string }, wanted: Wanted): Promise<FeedPage>;
}

/** History writes five times a second; asking more often would find nothing new. */
const EVERY_MS = 200;
/** What is being handed on at one time is at most this many pages of 4 MB. */
const READS_AT_ONCE = 8;

/**
 * Reads the feeds that anybody in this process follows, once for all their followers: one question for the newest
 * sequence of all of them, and one page of each that has moved on.
 *
 *   idle -> (somebody follows) -> polling -> (the last one leaves) -> idle
 *
 * It promises that a follower is given every item after its place, in order, once. While audit-log is away nobody is
 * told anything; then everybody goes on where they stood. A follower that cannot take more costs nothing but its place
 * in the feed: it is read for again when it can.
 */
export class FeedPoller {
  private readonly channels = new Map<string, Channel>();
  private readonly queue = new Set<Channel>();
  private readonly recent = new RecentPages();
  private reads = 0;
  private polling = false;
  private away = false;
  private stopped = false;
  private wake: () => void = () => undefined;

  constructor(
    private readonly source: FeedReads,
    private readonly logger: Logger,
  ) {}

  add({ tenant, endpoint }: { tenant: string; endpoint: string }, follower: Follower): () => void {
    let channel = this.channels.get(endpoint);
    if (!channel) this.channels.set(endpoint, (channel = new Channel(tenant, endpoint)));
    channel.followers.add(follower);
    this.enqueue(channel);
    if (!this.polling) void this.poll();
    return () => {
      follower.close();
      this.remove(endpoint, follower);
    };
  }

  followers(): { endpoint: string; follower: Follower }[] {
    return [...this.channels.values()].flatMap(({ endpoint, followers }) =>
      [...followers].map((follower) => ({ endpoint, follower })),
    );
  }

  /** Its sink is told, and it is given nothing more. */
  end(endpoint: string, follower: Follower, reason: EndReason): void {
    this.remove(endpoint, follower);
    follower.end(reason);
  }

  private remove(endpoint: string, follower: Follower): void {
    const followers = this.channels.get(endpoint)?.followers;
    followers?.delete(follower);
    if (followers?.size === 0) this.channels.delete(endpoint);
  }

  stop(): void {
    this.stopped = true;
    this.wake();
  }

  private async poll(): Promise<void> {
    this.polling = true;
    while (this.channels.size > 0 && !this.stopped) {
      const heads = await this.asked(() => this.source.heads([...this.channels.keys()]));
      for (const [endpoint, newest] of heads ?? []) {
        const channel = this.channels.get(endpoint);
        if (channel) channel.newest = newest;
      }
      // Without an answer too: whoever came while audit-log was away is waiting for its first read.
      for (const channel of this.channels.values()) this.enqueue(channel);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, EVERY_MS);
        this.wake = () => (clearTimeout(timer), resolve());
      });
    }
    this.polling = false;
  }

  private enqueue(channel: Channel): void {
    if (this.queue.has(channel) || channel.reading || channel.wanted() === undefined) return;
    this.queue.add(channel);
    this.pump();
  }

  /** In turn, one page each: no feed holds up the others. */
  private pump(): void {
    for (const channel of this.queue) {
      if (this.reads >= READS_AT_ONCE || this.stopped) return;
      this.queue.delete(channel);
      this.reads++;
      void this.read(channel).then((again) => {
        this.reads--;
        if (again) this.enqueue(channel);
        this.pump();
      });
    }
  }

  /** Answers whether there may be more to read at once. */
  private async read(channel: Channel): Promise<boolean> {
    const wanted = channel.wanted();
    if (wanted === undefined) return false;
    const give = (follower: Follower, item: FeedItem): void => this.give(channel, follower, item);
    if ('after' in wanted) {
      const kept = this.recent.after(channel.endpoint, wanted.after);
      if (kept) return channel.hand(kept, wanted.after, give);
    }
    channel.reading = true;
    const page = await this.asked(() => this.source.page(channel, wanted));
    channel.reading = false;
    if (page === undefined) return false;
    const again = channel.apply(wanted, page, give);
    if (page.kind === 'items' && channel.hasReadersOf(page.items)) {
      this.recent.keep(channel.endpoint, page.items);
    }
    return again;
  }

  private give(channel: Channel, follower: Follower, item: FeedItem): void {
    try {
      follower.give(item, () => this.enqueue(channel));
    } catch (error) {
      // A defect in what is made of this item; neither the others nor what follows must wait for its repair.
      const { endpoint } = channel;
      this.logger.error({ err: error, endpoint, sequence: item.sequence }, 'feed.item_not_given');
    }
  }

  /** Undefined when audit-log does not answer, which is told once until it does. */
  private async asked<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      const answer = await ask();
      this.away = false;
      return answer;
    } catch (error) {
      if (!this.away) this.logger.warn({ err: error }, 'feed.not_read');
      this.away = true;
      return undefined;
    }
  }
}
