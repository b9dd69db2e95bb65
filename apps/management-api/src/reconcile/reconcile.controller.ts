import { Body, Controller, Get, Inject, Param, Post, Query } from '@nestjs/common';
import { CompareReceived, MeantList, ReceivedComparison, ReconcileQuery } from '@posthaste/contracts';
import { May, type Permitted } from '../access/may.js';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import type { EndpointRef } from '../endpoints/find-endpoint.js';
import { Endpoints } from '../endpoints/endpoints.js';
import { Operation } from '../http/operation.js';
import { Replays } from '../replays/index.js';
import { refuseUnsendable } from '../replays/refuse-unsendable.js';
import { Reconcile } from './reconcile.js';

/** Both ways to an endpoint: through its account, or straight. */
const paths = ['accounts/:account/endpoints/:endpoint/reconcile', 'endpoints/:endpoint/reconcile'];

const common = {
  tag: 'Reconcile',
  access: ['tenant', 'account'],
  needs: 'deliveries:read',
  status: 200,
} as const;

@Controller('v1')
export class ReconcileController {
  constructor(
    @Inject(Endpoints) private readonly endpoints: Endpoints,
    @Inject(Reconcile) private readonly reconcile: Reconcile,
    @Inject(Replays) private readonly replays: Replays,
  ) {}

  @Get(paths)
  @Operation({
    ...common,
    id: 'listMeantMessages',
    summary: 'List what was meant for an endpoint',
    description:
      'Every message that was routed to the endpoint in the range, oldest first, in the order of `webhook-position`, ' +
      'whatever became of it. A message is listed within a second of its 202.',
    answers: MeantList,
  })
  async list(
    @Within() reach: Reach,
    @Param() named: EndpointRef,
    @Query({ schema: ReconcileQuery }) query: ReconcileQuery,
  ) {
    return this.reconcile.list(await this.endpoints.get(reach, named), query);
  }

  @Post(paths)
  @Operation({
    ...common,
    id: 'compareReceivedMessages',
    summary: 'Compare what was meant for an endpoint with what its receiver has',
    description:
      'Looks at the first 10,000 messages of the range; while `more` is true, ask again `from` what `next_from` says. ' +
      'Changes nothing, unless `replay` is true: then what is missing is sent (again), each once, under its `webhook-id`.',
    answers: ReceivedComparison,
    problems: [409],
  })
  async compare(
    @By() author: Author,
    @May() may: Permitted,
    @Within() reach: Reach,
    @Param() named: EndpointRef,
    @Body({ schema: CompareReceived }) body: CompareReceived,
  ) {
    if (body.replay) may('deliveries:write');
    const endpoint = await this.endpoints.get(reach, named);
    if (body.replay) refuseUnsendable(endpoint, ':endpoint');
    const compared = await this.reconcile.compare(endpoint, body);
    if (!body.replay || compared.missing.length === 0) return { ...compared, replay: null };
    const { missing } = compared;
    const replay = await this.replays.resendMissing(author, endpoint, missing, body.rate_per_second);
    return { ...compared, replay };
  }
}
