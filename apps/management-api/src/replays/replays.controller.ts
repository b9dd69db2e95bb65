import { Body, Controller, Get, Inject, Param, Post, Query } from '@nestjs/common';
import { Backfill, CreateReplay, PageQuery, Recover, Replay, ReplayList } from '@posthaste/contracts';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { Replays } from './replays.js';

const common = {
  tag: 'Replays',
  access: ['tenant', 'account'],
  needs: 'deliveries:write',
  status: 202,
  answers: Replay,
} as const;

const HOW =
  'Oldest first, with the same `webhook-id`, and the header `webhook-replay: true`. What fails (again) can be recovered; ' +
  'it is not retried.';
const WHAT =
  'Requests one more attempt of every delivery of the endpoint that is exhausted, or was cancelled because the ' +
  'endpoint was disabled or had answered that it is gone. Deliveries that somebody cancelled, or that the receiver ' +
  `asked not to get, are left alone. ${HOW}`;

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
    problems: [409],
  })
  async recover(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('endpoint') endpoint: string,
    @Body({ schema: Recover }) input: Recover,
  ) {
    return this.replays.recover(author, reach, endpoint, input);
  }

  @Post('endpoints/:endpoint/backfill')
  @Operation({
    ...common,
    tag: 'Endpoints',
    id: 'backfillEndpoint',
    summary: 'Send an endpoint what was published before it was there',
    description:
      'Delivers the messages of the account that the endpoint would be sent now, by its event types and channels, and ' +
      'never was: because it was created later, was disabled, or wanted others then. Each has its own ' +
      '`webhook-position`. A message the endpoint has a delivery of, whatever became of it, is left out. The latest ' +
      `messages are looked at after some seconds, once all of their time are known. ${HOW}`,
    problems: [409],
  })
  async backfill(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('endpoint') endpoint: string,
    @Body({ schema: Backfill }) input: Backfill,
  ) {
    return this.replays.backfill(author, reach, endpoint, input);
  }

  @Post('replays')
  @Operation({
    ...common,
    id: 'createReplay',
    summary: 'Start a replay',
    description:
      'Requests one more attempt of every settled delivery of an endpoint, or of an account, that matches: by default ' +
      'what was lost for the sake of the endpoint, as recovering it does. With `to_endpoint_id` another endpoint of the ' +
      'account gets the messages, by its own URL, secrets and profile; those it has a delivery of are left out. Ids that ' +
      `match nothing are passed over: \`total\` says how many there are. ${HOW}`,
    problems: [409],
  })
  async create(
    @By() author: Author,
    @Within() reach: Reach,
    @Body({ schema: CreateReplay }) input: CreateReplay,
  ) {
    return this.replays.create(author, reach, input);
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
