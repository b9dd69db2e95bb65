import { Controller, Inject, UseFilters } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import {
  type FeedHead,
  HISTORY_SERVICE,
  type HistoryFeedPage,
  type ReadFeedRequest,
} from '@posthaste/contracts';
import type pg from 'pg';
import { AwayFilter } from '../history/away.filter.js';
import { HISTORY_READS } from '../history/history.grpc.js';
import { feedHeads, readFeed } from './sql/select-feed.js';

/** How long an item can be fetched, ms. */
export const FEED_KEPT_MS = Symbol('FEED_KEPT_MS');

/** The feeds' part of the gRPC service `History`. An unknown feed is an empty one. */
@UseFilters(AwayFilter)
@Controller()
export class FeedsController {
  constructor(
    @Inject(HISTORY_READS) private readonly reads: pg.Pool,
    @Inject(FEED_KEPT_MS) private readonly keptMs: number,
  ) {}

  @GrpcMethod(HISTORY_SERVICE, 'ReadFeed')
  readFeed(request: ReadFeedRequest): Promise<HistoryFeedPage> {
    return readFeed(this.reads, request, Date.now() - this.keptMs);
  }

  @GrpcMethod(HISTORY_SERVICE, 'FeedHeads')
  async feedHeads({ endpoints }: { endpoints: string[] }): Promise<{ data: FeedHead[] }> {
    return { data: await feedHeads(this.reads, endpoints) };
  }
}
