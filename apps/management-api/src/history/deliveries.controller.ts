import { Controller, Get, Inject, Param, Post, Query } from '@nestjs/common';
import {
  AttemptList,
  AttemptsQuery,
  DeliveriesQuery,
  Delivery,
  DeliveryList,
  ListedAttemptList,
  PageQuery,
} from '@posthaste/contracts';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { History } from './history.js';

const common = {
  tag: 'Deliveries',
  access: ['tenant', 'account'],
  needs: 'deliveries:read',
  status: 200,
} as const;

/** Of every list that can be searched. */
export const SEARCHED =
  'Newest first. With filters a page may hold less than `limit`, or nothing, and still have a `next_cursor`: a page looks ' +
  'at so many rows and no more. What arrives while a list is read does not disturb it.';

@Controller('v1')
export class DeliveriesController {
  constructor(@Inject(History) private readonly history: History) {}

  @Get('accounts/:account/deliveries')
  @Operation({
    ...common,
    id: 'listDeliveries',
    summary: "List an account's deliveries",
    description: SEARCHED,
    answers: DeliveryList,
  })
  async list(
    @Within() reach: Reach,
    @Param('account') account: string,
    @Query({ schema: DeliveriesQuery }) query: DeliveriesQuery,
  ) {
    return this.history.listDeliveries(reach, account, query);
  }

  @Get('accounts/:account/attempts')
  @Operation({
    ...common,
    id: 'listAccountAttempts',
    summary: "List the attempts of an account's deliveries",
    description: SEARCHED,
    answers: ListedAttemptList,
  })
  async listAttempts(
    @Within() reach: Reach,
    @Param('account') account: string,
    @Query({ schema: AttemptsQuery }) query: AttemptsQuery,
  ) {
    return this.history.listAccountAttempts(reach, account, query);
  }

  @Get('deliveries/:id')
  @Operation({ ...common, id: 'getDelivery', summary: 'Read a delivery', answers: Delivery })
  async get(@Within() reach: Reach, @Param('id') id: string) {
    return this.history.getDelivery(reach, id);
  }

  @Post('deliveries/:id/cancel')
  @Operation({
    ...common,
    needs: 'deliveries:write',
    id: 'cancelDelivery',
    summary: 'Send nothing more for a delivery',
    description:
      'Answers with the delivery as it was; it is `cancelled` a moment later. What is on its way may still arrive. ' +
      'An exhausted delivery keeps its status, and no longer blocks those behind it in its ordering key.',
    status: 202,
    answers: Delivery,
    problems: [409],
  })
  async cancel(@By() author: Author, @Within() reach: Reach, @Param('id') id: string) {
    return this.history.cancel(author, reach, id);
  }

  @Post('deliveries/:id/resend')
  @Operation({
    ...common,
    needs: 'deliveries:write',
    id: 'resendDelivery',
    summary: 'Send a delivery once more',
    description:
      'One more attempt of a delivery that is settled, whatever came of it: the same `webhook-id`, a new timestamp, ' +
      'and the header `webhook-replay: true`. It is not retried. Answers with the delivery as it is; asking again ' +
      'before the attempt is made asks for the same one.',
    status: 202,
    answers: Delivery,
    problems: [409],
  })
  async resend(@By() author: Author, @Within() reach: Reach, @Param('id') id: string) {
    return this.history.resend(author, reach, id);
  }

  @Get('deliveries/:id/attempts')
  @Operation({
    ...common,
    id: 'listAttempts',
    summary: 'List the attempts of a delivery',
    description: 'Newest first, each with the request that was sent and what came back.',
    answers: AttemptList,
  })
  async attempts(
    @Within() reach: Reach,
    @Param('id') id: string,
    @Query({ schema: PageQuery }) query: PageQuery,
  ) {
    return this.history.listAttempts(reach, id, query);
  }
}
