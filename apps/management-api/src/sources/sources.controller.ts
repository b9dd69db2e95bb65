import { Body, Controller, Delete, Get, Inject, Param, Put, Res } from '@nestjs/common';
import { PutSource, Source } from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { IfMatch, withEtag } from '../http/if-match.js';
import { Operation } from '../http/operation.js';
import { Sources } from './sources.js';

const tag = 'Sources';
const access = ['tenant', 'account'] as const;
const asIs = (source: Source): Source => source;

@Controller('v1/accounts/:account/source')
export class SourcesController {
  constructor(@Inject(Sources) private readonly sources: Sources) {}

  @Put()
  @Operation({
    id: 'putSource',
    tag,
    summary: "Create or replace an account's source",
    description:
      'While the account has an enabled endpoint, one connection to the URL is kept open, and each of its events is published: `event` as the event type, `data` as the payload, `id` as the event id. After an interruption it goes on from the last id that was published (`Last-Event-ID`).',
    access,
    needs: 'accounts:write',
    status: 200,
    answers: Source,
    etag: true,
    problems: [402],
  })
  async put(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('account') account: string,
    @Body({ schema: PutSource }) input: PutSource,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { source, created } = await this.sources.put(author, reach, account, input, ifMatch);
    if (created) reply.status(201);
    return withEtag(reply, source, asIs);
  }

  @Get()
  @Operation({
    id: 'getSource',
    tag,
    summary: "Read an account's source and how its connection is doing",
    access,
    needs: 'accounts:read',
    status: 200,
    answers: Source,
    etag: true,
  })
  async get(
    @Within() reach: Reach,
    @Param('account') account: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return withEtag(reply, await this.sources.get(reach, account), asIs);
  }

  @Delete()
  @Operation({
    id: 'deleteSource',
    tag,
    summary: "Delete an account's source; its connection is closed",
    access,
    needs: 'accounts:write',
    status: 204,
  })
  async remove(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('account') account: string,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    await this.sources.remove(author, reach, account, ifMatch);
  }
}
