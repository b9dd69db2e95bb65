import { Body, Controller, Delete, Get, Inject, Param, Patch, Post, Query, Res } from '@nestjs/common';
import {
  CreateEndpoint,
  Endpoint,
  EndpointAsOf,
  EndpointAsOfQuery,
  EndpointWithHealth,
  listOf,
  PageQuery,
  PatchEndpoint,
} from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { IfMatch, withEtag } from '../http/if-match.js';
import { Operation } from '../http/operation.js';
import { EndpointVersions } from '../versions/endpoint-versions.js';
import { endpointView } from './endpoint-fields.js';
import { Endpoints } from './endpoints.js';

const tag = 'Endpoints';
const access = ['tenant', 'account'] as const;
/** Both ways to an endpoint: through its account, or straight. */
const paths = ['accounts/:account/endpoints/:endpoint', 'endpoints/:endpoint'];

interface Named {
  account?: string;
  endpoint: string;
}

@Controller('v1')
export class EndpointsController {
  constructor(
    @Inject(Endpoints) private readonly endpoints: Endpoints,
    @Inject(EndpointVersions) private readonly versions: EndpointVersions,
  ) {}

  @Post('accounts/:account/endpoints')
  @Operation({
    id: 'createEndpoint',
    tag,
    summary: 'Create an endpoint',
    access,
    needs: 'endpoints:write',
    status: 201,
    answers: Endpoint,
    etag: true,
    problems: [402, 409],
  })
  async create(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('account') account: string,
    @Body({ schema: CreateEndpoint }) input: CreateEndpoint,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const row = await this.endpoints.create(author, reach, account, input);
    reply.header('location', `/v1/endpoints/${row.id}`);
    return withEtag(reply, row, endpointView);
  }

  @Get('accounts/:account/endpoints')
  @Operation({
    id: 'listEndpoints',
    tag,
    summary: "List an account's endpoints",
    access,
    needs: 'endpoints:read',
    status: 200,
    answers: listOf(Endpoint, 'EndpointList'),
  })
  async list(
    @Within() reach: Reach,
    @Param('account') account: string,
    @Query({ schema: PageQuery }) page: PageQuery,
  ) {
    return this.endpoints.list(reach, account, page);
  }

  @Get(paths)
  @Operation({
    id: 'getEndpoint',
    tag,
    summary: 'Read an endpoint',
    description:
      'As it is now, with its health; or with `at`, `attempt` or `version` as it was then. What was is also told of an ' +
      'endpoint that has been deleted since, by its id.',
    access,
    needs: 'endpoints:read',
    status: 200,
    answers: z.union([EndpointWithHealth, EndpointAsOf]),
    etag: true,
  })
  async get(
    @Within() reach: Reach,
    @Param() named: Named,
    @Query({ schema: EndpointAsOfQuery }) asOf: EndpointAsOfQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    if (Object.keys(asOf).length > 0) {
      return withEtag(reply, await this.versions.asOf(reach, named, asOf), (endpoint) => endpoint);
    }
    const { row, health } = await this.endpoints.withHealth(reach, named);
    return withEtag(reply, row, () => ({ ...endpointView(row), health }));
  }

  @Patch(paths)
  @Operation({
    id: 'patchEndpoint',
    tag,
    summary: 'Change an endpoint',
    access,
    needs: 'endpoints:write',
    status: 200,
    answers: Endpoint,
    etag: true,
    problems: [402, 409],
  })
  async patch(
    @By() author: Author,
    @Within() reach: Reach,
    @Param() named: Named,
    @Body({ schema: PatchEndpoint }) patch: PatchEndpoint,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return withEtag(reply, await this.endpoints.patch(author, reach, named, patch, ifMatch), endpointView);
  }

  @Delete(paths)
  @Operation({
    id: 'deleteEndpoint',
    tag,
    summary: 'Delete an endpoint',
    access,
    needs: 'endpoints:write',
    status: 204,
  })
  async remove(
    @By() author: Author,
    @Within() reach: Reach,
    @Param() named: Named,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    await this.endpoints.remove(author, reach, named, ifMatch);
  }

  @Post('endpoints/:endpoint/enable')
  @Operation({
    id: 'enableEndpoint',
    tag,
    summary: 'Deliver to an endpoint again',
    access,
    needs: 'endpoints:write',
    status: 200,
    answers: Endpoint,
    etag: true,
    problems: [402],
  })
  async enable(
    @By() author: Author,
    @Within() reach: Reach,
    @Param() named: Named,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return withEtag(
      reply,
      await this.endpoints.setEnabled(author, reach, named, true, ifMatch),
      endpointView,
    );
  }

  @Post('endpoints/:endpoint/disable')
  @Operation({
    id: 'disableEndpoint',
    tag,
    summary: 'Stop delivering to an endpoint',
    access,
    needs: 'endpoints:write',
    status: 200,
    answers: Endpoint,
    etag: true,
  })
  async disable(
    @By() author: Author,
    @Within() reach: Reach,
    @Param() named: Named,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return withEtag(
      reply,
      await this.endpoints.setEnabled(author, reach, named, false, ifMatch),
      endpointView,
    );
  }
}
