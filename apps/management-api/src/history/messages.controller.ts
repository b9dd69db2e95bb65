import { Controller, Delete, Get, Inject, Param, Query, Res } from '@nestjs/common';
import {
  DeliveryList,
  Message,
  MessageDeliveriesQuery,
  MessageList,
  MessagesQuery,
} from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { SEARCHED } from './deliveries.controller.js';
import { History } from './history.js';

const common = {
  tag: 'Messages',
  access: ['tenant', 'account'],
  needs: 'messages:read',
  status: 200,
} as const;

@Controller('v1')
export class MessagesController {
  constructor(@Inject(History) private readonly history: History) {}

  @Get('accounts/:account/messages')
  @Operation({
    ...common,
    id: 'listMessages',
    summary: "List an account's messages",
    description: SEARCHED,
    answers: MessageList,
    problems: [422],
  })
  async list(
    @Within() reach: Reach,
    @Param('account') account: string,
    @Query({ schema: MessagesQuery }) query: MessagesQuery,
  ) {
    return this.history.listMessages(reach, account, query);
  }

  @Get('messages/:id')
  @Operation({
    ...common,
    id: 'getMessage',
    summary: 'Read a message',
    description: 'A message can be read within a second of its 202.',
    answers: Message,
  })
  async get(@Within() reach: Reach, @Param('id') id: string) {
    return this.history.getMessage(reach, id);
  }

  @Get('messages/:id/payload')
  @Operation({
    ...common,
    id: 'getPayload',
    summary: "Download a message's payload",
    description: 'The exact bytes that were published, with the content type they were published with.',
  })
  async payload(
    @Within() reach: Reach,
    @Param('id') id: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Buffer> {
    const { payload, contentType } = await this.history.getPayload(reach, id);
    // What a stranger wrote must not run as a page of ours, whatever type it says it has.
    reply
      .header('content-type', contentType)
      .header('content-disposition', `attachment; filename="${id}"`)
      .header('content-security-policy', "default-src 'none'; sandbox")
      .header('x-content-type-options', 'nosniff');
    return payload;
  }

  @Delete('messages/:id/payload')
  @Operation({
    ...common,
    needs: 'messages:delete',
    id: 'shredPayload',
    summary: "Shred a message's payload",
    description:
      'The payload and what receivers answered are gone from history; ids, times, states, the size and the hash stay. ' +
      'Not while one of its deliveries is open. The log has it until it ages out there: see docs/history.md.',
    status: 204,
    problems: [409],
  })
  async shred(@By() author: Author, @Within() reach: Reach, @Param('id') id: string): Promise<void> {
    await this.history.shredPayload(author, reach, id);
  }

  @Get('messages/:id/deliveries')
  @Operation({
    ...common,
    needs: 'deliveries:read',
    id: 'listMessageDeliveries',
    summary: 'List the deliveries of a message',
    answers: DeliveryList,
  })
  async deliveries(
    @Within() reach: Reach,
    @Param('id') id: string,
    @Query({ schema: MessageDeliveriesQuery }) query: z.infer<typeof MessageDeliveriesQuery>,
  ) {
    return this.history.listMessageDeliveries(reach, id, query);
  }
}
