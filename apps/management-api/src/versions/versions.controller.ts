import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { EndpointVersionList, PageQuery } from '@posthaste/contracts';
import { type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { EndpointVersions } from './endpoint-versions.js';

@Controller('v1')
export class EndpointVersionsController {
  constructor(@Inject(EndpointVersions) private readonly versions: EndpointVersions) {}

  @Get('endpoints/:endpoint/versions')
  @Operation({
    id: 'listEndpointVersions',
    tag: 'Endpoints',
    summary: 'List the versions of an endpoint',
    description:
      'Newest first: who changed what, when and from where. Also of an endpoint that is deleted, by its id.',
    access: ['tenant', 'account'],
    needs: 'endpoints:read',
    status: 200,
    answers: EndpointVersionList,
  })
  async list(
    @Within() reach: Reach,
    @Param('endpoint') endpoint: string,
    @Query({ schema: PageQuery }) page: PageQuery,
  ) {
    return this.versions.list(reach, { endpoint }, page);
  }
}
