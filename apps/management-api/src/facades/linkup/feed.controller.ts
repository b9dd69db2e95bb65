import { Controller, Get, Headers, Inject, Param, Query, Req, Res } from '@nestjs/common';
import { Problem } from '@posthaste/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Reach, Within } from '../../access/principal.js';
import { type EventStream, Feeds, startEventStream } from '../../feeds/index.js';
import { FacadeRoute } from '../facade-route.js';
import { envelopeAround } from './envelope.js';
import { connectedFrame, EventId, EventsQuery, frameOf, pollEvents, startOf } from './feed.js';
import { LINKUP_KEYS } from './webhooks.controller.js';
import { LinkupWebhooks, type Webhook } from './webhooks.js';

/** The events of hosted webhooks: asked for, or streamed. */
@Controller('v2/webhooks')
export class LinkupFeedController {
  constructor(
    @Inject(LinkupWebhooks) private readonly webhooks: LinkupWebhooks,
    @Inject(Feeds) private readonly feeds: Feeds,
  ) {}

  @Get(':webhook/events')
  @FacadeRoute(LINKUP_KEYS, 200, 'messages:read')
  async events(
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Query({ schema: EventsQuery }) query: EventsQuery,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { row } = await this.hosted(reach, id);
    const data = await pollEvents(this.feeds, row, query);
    await reply.type('application/json; charset=utf-8').send(envelopeAround(data, request));
  }

  /**
   * `connected`, then every event from then on, as server-sent events. All frames have an id, also the first: so a client
   * that loses its connection before its first event, too, goes on without a gap when it comes again.
   */
  @Get(':webhook/stream')
  @FacadeRoute(LINKUP_KEYS, 200, 'messages:read')
  async stream(
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Query('last_event_id') inQuery: unknown,
    @Headers('last-event-id') inHeader: string | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const { principal } = request;
    if (!principal) throw new Error('this route has an access rule');
    const { row, accountUid } = await this.hosted(reach, id);
    // What is no id of ours is another server's: an EventSource that was refused for it would never come again.
    const last = EventId.safeParse(inHeader ?? inQuery).data ?? null;
    const start = await startOf(this.feeds, row, last);
    const stream = startEventStream(reply);
    void stream.send(connectedFrame(id, accountUid, start));
    const following = this.feeds.follow(row, start, sinkOf(stream), principal);
    stream.onClosed(() => following.close());
  }

  private async hosted(reach: Reach, id: string): Promise<Webhook> {
    const webhook = await this.webhooks.get(reach, id);
    if (webhook.row.mode === 'feed') return webhook;
    const detail =
      'Events and their stream are for hosted webhooks; this one has a url, and they are sent there.';
    throw new Problem('validation_failed', detail);
  }
}

function sinkOf(stream: EventStream): Parameters<Feeds['follow']>[2] {
  return {
    item: (item) => stream.send(frameOf(item)),
    // The client comes again, and learns then what has become of its webhook or its key.
    end: (reason) => stream.end(reason),
  };
}
