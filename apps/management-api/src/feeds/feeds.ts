import { type Logger, Problem } from '@posthaste/runtime';
import type { DataSource } from 'typeorm';
import type { Principal } from '../access/principal.js';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';
import type { HistoryReader } from '../history/index.js';
import { type FeedPage, readFeedPage } from './feed-page.js';
import { FeedPoller } from './feed-poller.js';
import { type FeedSink, Follower, type Following } from './follower.js';
import { stillGood } from './standing.js';

/** A key's revocation and an endpoint's deletion reach the streams that are open within this time. */
const STANDING_EVERY_MS = 30_000;

/**
 * Endpoints of mode `feed`, as their accounts read them: a page at a time, or following along.
 *
 * An item is a message that was routed to the endpoint; history numbers them from 1 without a gap, within a second of
 * the message's 202, and keeps them for a day. A place in a feed is the sequence of the last item one has, so whoever
 * remembers that goes on anywhere, through any replica. A place beyond the newest item is one that has not come yet.
 *
 * Who may read is not decided here: the caller has found the endpoint within its key's reach.
 */
export class Feeds {
  private readonly poller: FeedPoller;
  private readonly checks: NodeJS.Timeout;

  constructor(
    private readonly reader: HistoryReader,
    private readonly database: DataSource,
    private readonly logger: Logger,
    { standingEveryMs = STANDING_EVERY_MS } = {},
  ) {
    this.poller = new FeedPoller(
      {
        heads: async (endpoints) => {
          const { data } = await reader.read((client) => client.feedHeads({ endpoints }));
          return new Map(data.map(({ endpoint, newest }) => [endpoint, newest]));
        },
        page: ({ tenant, endpoint }, wanted) =>
          readFeedPage(reader, {
            tenant,
            endpoint,
            limit: wanted.limit,
            ...('since' in wanted ? { accepted_since: wanted.since.getTime() } : { after: wanted.after }),
          }),
      },
      logger,
    );
    this.checks = setInterval(() => void this.checkStanding(), standingEveryMs).unref();
  }

  /**
   * Items after a sequence, or listed after and before a time, oldest first; without any of them from the oldest that
   * is kept. Throws `conflict` for an endpoint that is no feed, and `unavailable` while audit-log is away.
   */
  async page(
    row: EndpointRow,
    range: {
      after?: number | undefined;
      since?: Date | undefined;
      until?: Date | undefined;
      limit: number;
    },
  ): Promise<FeedPage> {
    requireFeed(row);
    return readFeedPage(this.reader, {
      tenant: row.tenant,
      endpoint: row.id,
      limit: range.limit,
      after: range.after,
      since: range.since?.getTime(),
      until: range.until?.getTime(),
    });
  }

  /**
   * Hands every item after a sequence to the sink, in order, once, until it is closed or ended; null: those accepted
   * from now on. An endpoint that is disabled gets no more items and keeps its followers.
   *
   * @param by whose request this is: when its key is revoked, the sink is ended.
   */
  follow(row: EndpointRow, after: number | null, sink: FeedSink, by: Principal): Following {
    requireFeed(row);
    const follower = new Follower(after, sink, by.kind === 'operator' ? null : by.key);
    return { close: this.poller.add({ tenant: row.tenant, endpoint: row.id }, follower) };
  }

  /** Reads no more; nobody who follows is told. */
  stop(): void {
    clearInterval(this.checks);
    this.poller.stop();
  }

  private async checkStanding(): Promise<void> {
    const followers = this.poller.followers();
    if (followers.length === 0) return;
    const endpoints = new Set(followers.map(({ endpoint }) => endpoint));
    const keys = new Set(followers.flatMap(({ follower: { key } }) => key ?? []));
    try {
      const good = await stillGood(this.database, [...endpoints], [...keys]);
      for (const { endpoint, follower } of followers) {
        const { key } = follower;
        if (good.has(endpoint) && (key === null || good.has(key))) continue;
        this.poller.end(endpoint, follower, 'gone');
      }
    } catch (error) {
      // While the database is away nothing can have been revoked either.
      this.logger.warn({ err: error }, 'feed.standing_not_checked');
    }
  }
}

/** Throws `conflict` for an endpoint whose messages are posted. */
export function requireFeed({ mode }: EndpointRow): void {
  if (mode === 'feed') return;
  const message = 'is not a feed';
  throw new Problem('conflict', 'The endpoint is not a feed: its messages are posted to its URL.', [
    { pointer: ':endpoint', code: 'not_a_feed', message },
  ]);
}
