import type { FeedItem, FeedPage } from './feed-page.js';
import type { Follower } from './follower.js';
import { isWithin } from './recent-pages.js';

/** What is to be read next for a feed's followers: where `from now on` begins, or what comes after a place. */
export type Wanted = { since: Date; limit: 1 } | { after: number; limit: number };

/** A page is shared by everybody who stands at its beginning. audit-log also ends it at 4 MB. */
const PAGE_ITEMS = 200;

/** A feed somebody in this process follows. */
export class Channel {
  readonly followers = new Set<Follower>();
  /** As of the latest poll. */
  newest = 0;
  /** A page of it is on its way. */
  reading = false;

  constructor(
    readonly tenant: string,
    readonly endpoint: string,
  ) {}

  /**
   * Undefined when everybody has everything, or cannot take more. Who is furthest goes first: a newcomer that reads a
   * day of items must not keep the others from what is new.
   */
  wanted(): Wanted | undefined {
    const newcomers = [...this.followers].filter(({ position }) => position === null);
    if (newcomers.length > 0) {
      return { since: new Date(Math.min(...newcomers.map(({ joinedAtMs }) => joinedAtMs))), limit: 1 };
    }
    let after = -1;
    for (const { ready, position } of this.followers) {
      if (ready && position !== null && position < this.newest) after = Math.max(after, position);
    }
    return after < 0 ? undefined : { after, limit: PAGE_ITEMS };
  }

  /** Hands on what was read. Answers whether it brought anybody further. */
  apply(wanted: Wanted, page: FeedPage, give: (follower: Follower, item: FeedItem) => void): boolean {
    if (page.kind === 'expired') {
      for (const follower of this.followers) {
        const { ready, position } = follower;
        if (!ready || position === null || position >= page.oldest - 1) continue;
        this.followers.delete(follower);
        follower.end('expired');
      }
      return true;
    }
    this.newest = Math.max(this.newest, page.newest);
    if ('since' in wanted) {
      const start = (page.items[0]?.sequence ?? page.newest + 1) - 1;
      for (const follower of this.followers) follower.position ??= start;
      return true;
    }
    return this.hand(page.items, wanted.after, give);
  }

  /** Gives consecutive items, the first of them the one after a sequence, to all whom they bring further; answers whether to any. */
  hand(items: FeedItem[], after: number, give: (follower: Follower, item: FeedItem) => void): boolean {
    let given = false;
    for (const item of items) {
      for (const follower of this.followers) {
        const { ready, position } = follower;
        if (!ready || position === null || position < after || position >= item.sequence) continue;
        give(follower, item);
        given = true;
      }
    }
    return given;
  }

  /** True when somebody has got some of the items and not all. */
  hasReadersOf(items: FeedItem[]): boolean {
    return [...this.followers].some(({ position }) => position !== null && isWithin(items, position));
  }
}
