import { Body, Controller, Delete, Get, Inject, Param, Patch, Post, Query, Res } from '@nestjs/common';
import { CreateEventType, EventType, listOf, PageQuery, PatchEventType } from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { IfMatch, withEtag } from '../http/if-match.js';
import { Operation } from '../http/operation.js';
import { EventTypes, eventTypeView } from './event-types.js';

const tag = 'Event types';

@Controller('v1/event-types')
export class EventTypesController {
  constructor(@Inject(EventTypes) private readonly eventTypes: EventTypes) {}

  @Post()
  @Operation({
    id: 'createEventType',
    tag,
    summary: 'Add an event type to the catalogue',
    access: ['tenant'],
    needs: 'event-types:write',
    status: 201,
    answers: EventType,
    etag: true,
    problems: [409],
  })
  async create(
    @By() author: Author,
    @Within() reach: Reach,
    @Body({ schema: CreateEventType }) input: CreateEventType,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const row = await this.eventTypes.create(author, reach, input);
    reply.header('location', `/v1/event-types/${row.name}`);
    return withEtag(reply, row, eventTypeView);
  }

  @Get()
  @Operation({
    id: 'listEventTypes',
    tag,
    summary: 'List event types',
    access: ['tenant', 'account'],
    needs: 'event-types:read',
    status: 200,
    answers: listOf(EventType, 'EventTypeList'),
  })
  async list(@Within() reach: Reach, @Query({ schema: PageQuery }) page: PageQuery) {
    return this.eventTypes.list(reach, page);
  }

  @Get(':name')
  @Operation({
    id: 'getEventType',
    tag,
    summary: 'Read an event type',
    access: ['tenant', 'account'],
    needs: 'event-types:read',
    status: 200,
    answers: EventType,
    etag: true,
  })
  async get(
    @Within() reach: Reach,
    @Param('name') name: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return withEtag(reply, await this.eventTypes.get(reach, name), eventTypeView);
  }

  @Patch(':name')
  @Operation({
    id: 'patchEventType',
    tag,
    summary: 'Change an event type',
    access: ['tenant'],
    needs: 'event-types:write',
    status: 200,
    answers: EventType,
    etag: true,
  })
  async patch(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('name') name: string,
    @Body({ schema: PatchEventType }) patch: PatchEventType,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return withEtag(reply, await this.eventTypes.patch(author, reach, name, patch, ifMatch), eventTypeView);
  }

  @Delete(':name')
  @Operation({
    id: 'deleteEventType',
    tag,
    summary: 'Remove an event type from the catalogue',
    access: ['tenant'],
    needs: 'event-types:write',
    status: 204,
  })
  async remove(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('name') name: string,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    await this.eventTypes.remove(author, reach, name, ifMatch);
  }
}
