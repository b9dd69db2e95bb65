import { Controller, Inject, UseFilters } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import {
  type GetById,
  type HistoryPage,
  type HistoryReplay,
  type ListReplaysRequest,
  type ReplayReply,
  REPLAYS_SERVICE,
  type StartReplayRequest,
  type SteerReplayRequest,
} from '@posthaste/contracts';
import type pg from 'pg';
import { AwayFilter } from '../history/away.filter.js';
import { HISTORY_READS } from '../history/history.grpc.js';
import { countRequestable, selectRequestable } from './sql/select-requestable.js';
import { getReplay, insertReplay, listReplays, scopeOf, steerReplay } from './sql/steer-replays.js';

const SAMPLE_ROWS = 10;

/** Starts, shows and steers replays; the loop runs them. What is not there, or another tenant's, is an empty answer. */
@UseFilters(AwayFilter)
@Controller()
export class ReplaysController {
  constructor(@Inject(HISTORY_READS) private readonly reads: pg.Pool) {}

  @GrpcMethod(REPLAYS_SERVICE, 'StartReplay')
  async start(request: StartReplayRequest): Promise<ReplayReply> {
    const scope = scopeOf(request);
    const total = await countRequestable(this.reads, scope);
    const now = Date.now();
    if (!request.dry_run) {
      await insertReplay(this.reads, request, total, now);
      return { replay: await getReplay(this.reads, request.tenant, request.id), sample: [] };
    }
    const first = await selectRequestable(this.reads, scope, { at: -1, id: '' }, SAMPLE_ROWS);
    return {
      replay: { ...request, created_at: now, status: 'running', total },
      sample: first.map(({ id }) => id),
    };
  }

  @GrpcMethod(REPLAYS_SERVICE, 'GetReplay')
  async get({ tenant, id }: GetById): Promise<ReplayReply> {
    return { replay: await getReplay(this.reads, tenant, id), sample: [] };
  }

  @GrpcMethod(REPLAYS_SERVICE, 'ListReplays')
  list(request: ListReplaysRequest): Promise<HistoryPage<HistoryReplay>> {
    return listReplays(this.reads, request);
  }

  @GrpcMethod(REPLAYS_SERVICE, 'SteerReplay')
  async steer(request: SteerReplayRequest): Promise<ReplayReply> {
    await steerReplay(this.reads, request, Date.now());
    return this.get(request);
  }
}
