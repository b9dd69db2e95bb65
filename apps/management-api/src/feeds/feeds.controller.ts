import { Controller, Get, Headers, Inject, Param, Query, Req, Res } from '@nestjs/common';
import { FEED_SEQUENCE_PATTERN, FeedItem, FeedList, FeedQuery, FeedStreamQuery } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Reach, Within } from '../access/principal.js';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';
import { Endpoints } from '../endpoints/endpoints.js';
import { Operation } from '../http/operation.js';
import { fieldProblem } from '../http/refusals.js';
import type { FeedItem as Item } from './feed-page.js';
import { Feeds, requireFeed } from './feeds.js';
import { itemJson } from './item-json.js';
import { eventFrame, madeOnce, startEventStream } from './sse.js';

/** Both ways to an endpoint: through its account, or straight. */
const paths = ['accounts/:account/endpoints/:endpoint/feed', 'endpoints/:endpoint/feed'];
const streamPaths = paths.map((path) => `${path}/stream`);

const common = {
  tag: 'Feeds',
  access: ['tenant', 'account'],
  needs: 'messages:read',
  status: 200,
  problems: [409, 410],
} as const;

const RETRY_MS = 1_000;

interface Named {
  account?: string;
  endpoint: string;
}

/** Endpoints of mode `feed`, in our own words. */
@Controller('v1')
export class FeedsController {
  constructor(
    @Inject(Endpoints) private readonly endpoints: Endpoints,
    @Inject(Feeds) private readonly feeds: Feeds,
  ) {}

  @Get(paths)
  @Operation({
    ...common,
    id: 'readFeed',
    summary: 'Read a feed',
    description:
      'The messages of an endpoint of mode `feed`, oldest first. Without `after` it begins with the oldest that is ' +
      'kept. Items are kept for 24 hours; 410 says that some after `after` are not there any more, and its member `oldest` which is the first that is.',
    answers: FeedList,
  })
  async read(
    @Within() reach: Reach,
    @Param() named: Named,
    @Query({ schema: FeedQuery }) { after, limit }: FeedQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Buffer> {
    const row = await this.endpoints.get(reach, named);
    const page = await this.feeds.page(row, { after, limit });
    if (page.kind === 'expired') throw expired('?after', page.oldest);
    const { items, oldest, hasMore } = page;
    const tail = { next_after: items.at(-1)?.sequence ?? after ?? oldest - 1, oldest, has_more: hasMore };
    reply.header('content-type', 'application/json; charset=utf-8');
    return Buffer.concat([
      Buffer.from('{"data":['),
      ...items.flatMap((item, i) => [Buffer.from(i === 0 ? '' : ','), itemJson(item)]),
      Buffer.from(`],${JSON.stringify(tail).slice(1)}`),
    ]);
  }

  @Get(streamPaths)
  @Operation({
    ...common,
    id: 'streamFeed',
    summary: 'Follow a feed',
    description:
      'Server-sent events: each item as one event `message`, whose id is its sequence. It goes on after the header ' +
      '`Last-Event-ID`, else after `after`, else with what is accepted from now on.',
    answers: FeedItem,
    problems: [...common.problems, 429],
    mediaType: 'text/event-stream',
  })
  async stream(
    @Req() request: FastifyRequest,
    @Within() reach: Reach,
    @Param() named: Named,
    @Query({ schema: FeedStreamQuery }) query: FeedStreamQuery,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { principal } = request;
    if (!principal) throw new Error('this route has an access rule');
    const after = sequenceOf(lastEventId) ?? query.after ?? null;
    const row = await this.endpoints.get(reach, named);
    requireFeed(row);
    if (after !== null) {
      const oldest = await this.expiredAfter(row, after);
      if (oldest !== null) throw expired(lastEventId === undefined ? '?after' : 'last-event-id', oldest);
    }
    const stream = startEventStream(reply, { retryMs: RETRY_MS });
    const sink = {
      item: (item: Item) => stream.send(frameOf(item)),
      end: (reason: string) => stream.end(reason),
    };
    const following = this.feeds.follow(row, after, sink, principal);
    stream.onClosed(() => following.close());
  }

  /**
   * The oldest sequence when something after the place has aged out; null when nothing has, or when that cannot be
   * known right now: an EventSource that is refused once never comes again, and the stream finds out later.
   */
  private async expiredAfter(row: EndpointRow, after: number): Promise<number | null> {
    try {
      const page = await this.feeds.page(row, { after, limit: 1 });
      return page.kind === 'expired' ? page.oldest : null;
    } catch (error) {
      if (error instanceof Problem && error.code === 'unavailable') return null;
      throw error;
    }
  }
}

const frameOf = madeOnce((item: Item) =>
  eventFrame({ event: 'message', data: itemJson(item), id: item.sequence }),
);

/** Some clients send an empty one when they have none. */
function sequenceOf(lastEventId = ''): number | undefined {
  if (lastEventId === '') return undefined;
  if (FEED_SEQUENCE_PATTERN.test(lastEventId)) return Number(lastEventId);
  const message = 'must be a sequence number';
  throw fieldProblem([{ pointer: 'last-event-id', code: 'invalid_format', message }], 'invalid_request');
}

function expired(pointer: string, oldest: number): Problem {
  return new Problem(
    'feed_expired',
    `Items after this place are not kept any more. The oldest that is kept has sequence ${oldest}.`,
    [{ pointer, code: 'feed_expired', message: `must be at least ${oldest - 1}: the oldest is ${oldest}` }],
    undefined,
    { oldest },
  );
}
