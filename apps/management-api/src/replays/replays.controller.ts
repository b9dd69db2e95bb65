import { Body, Controller, Get, Inject, Param, Post, Query } from '@nestjs/common';
import { CreateReplay, PageQuery, Recover, Replay, ReplayList } from '@posthaste/contracts';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { Replays } from './replays.js';

const common = {
  tag: 'Replays',
  access: ['tenant', 'account'],
  needs: 'deliveries:write',
  status: 202,
  answers: Replay,
  problems: [503],
} as const;

const WHAT =
  'Requests one more attempt of every delivery of the endpoint that is exhausted, or was cancelled because the ' +
  'endpoint was disabled or had answered that it is gone, oldest first: the same `webhook-id`, and the header ' +
  '`webhook-replay: true`. What fails again can be recovered again; it is not retried. Deliveries that somebody ' +
  'cancelled, or that the receiver asked not to get, are left alone.';

@Controller('v1')
export class ReplaysController {
  constructor(@Inject(Replays) private readonly replays: Replays) {}

  @Post('endpoints/:endpoint/recover')
  @Operation({
    ...common,
    tag: 'Endpoints',
    id: 'recoverEndpoint',
    summary: 'Send an endpoint what it lacks since a time',
    description: WHAT,
    problems: [409, 503],
  })
  async recover(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('endpoint') endpoint: string,
    @Body({ schema: Recover }) input: Recover,
  ) {
    return this.replays.recover(author, reach, endpoint, input, ':endpoint');
  }

  @Post('replays')
  @Operation({
    ...common,
    id: 'createReplay',
    summary: 'Start a replay',
    description: WHAT,
    problems: [409, 503],
  })
  async create(
    @By() author: Author,
    @Within() reach: Reach,
    @Body({ schema: CreateReplay }) { endpoint_id, ...input }: CreateReplay,
  ) {
    return this.replays.recover(author, reach, endpoint_id, input, '/endpoint_id');
  }

  @Get('replays')
  @Operation({
    ...common,
    needs: 'deliveries:read',
    id: 'listReplays',
    summary: 'List replays',
    status: 200,
    answers: ReplayList,
  })
  async list(@Within() reach: Reach, @Query({ schema: PageQuery }) query: PageQuery) {
    return this.replays.list(reach, query);
  }

  @Get('replays/:id')
  @Operation({ ...common, needs: 'deliveries:read', id: 'getReplay', summary: 'Read a replay', status: 200 })
  async get(@Within() reach: Reach, @Param('id') id: string) {
    return this.replays.get(reach, id);
  }

  @Post('replays/:id/pause')
  @Operation({
    ...common,
    id: 'pauseReplay',
    summary: 'Request nothing more until it is resumed',
    status: 200,
  })
  async pause(@By() author: Author, @Within() reach: Reach, @Param('id') id: string) {
    return this.replays.steer(author, reach, id, 'paused');
  }

  @Post('replays/:id/resume')
  @Operation({ ...common, id: 'resumeReplay', summary: 'Go on with a paused replay', status: 200 })
  async resume(@By() author: Author, @Within() reach: Reach, @Param('id') id: string) {
    return this.replays.steer(author, reach, id, 'running');
  }

  @Post('replays/:id/cancel')
  @Operation({
    ...common,
    id: 'cancelReplay',
    summary: 'End a replay',
    description: 'What has been requested is still sent.',
    status: 200,
  })
  async cancel(@By() author: Author, @Within() reach: Reach, @Param('id') id: string) {
    return this.replays.steer(author, reach, id, 'cancelled');
  }
}
