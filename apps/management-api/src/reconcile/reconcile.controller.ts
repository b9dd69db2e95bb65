import { Body, Controller, Get, Inject, Param, Post, Query } from '@nestjs/common';
import { CompareReceived, MeantList, ReceivedComparison, ReconcileQuery } from '@posthaste/contracts';
import { type Reach, Within } from '../access/principal.js';
import type { EndpointRef } from '../endpoints/find-endpoint.js';
import { Endpoints } from '../endpoints/endpoints.js';
import { Operation } from '../http/operation.js';
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
      'Changes nothing.',
    answers: ReceivedComparison,
  })
  async compare(
    @Within() reach: Reach,
    @Param() named: EndpointRef,
    @Body({ schema: CompareReceived }) body: CompareReceived,
  ) {
    return this.reconcile.compare(await this.endpoints.get(reach, named), body);
  }
}
