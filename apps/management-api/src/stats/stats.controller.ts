import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { EndpointStats, StatsQuery } from '@posthaste/contracts';
import { type Reach, Within } from '../access/principal.js';
import type { EndpointRef } from '../endpoints/find-endpoint.js';
import { Endpoints } from '../endpoints/endpoints.js';
import { Operation } from '../http/operation.js';
import { Stats } from './stats.js';

@Controller('v1')
export class StatsController {
  constructor(
    @Inject(Endpoints) private readonly endpoints: Endpoints,
    @Inject(Stats) private readonly stats: Stats,
  ) {}

  @Get(['accounts/:account/endpoints/:endpoint/stats', 'endpoints/:endpoint/stats'])
  @Operation({
    id: 'getEndpointStats',
    tag: 'Endpoints',
    access: ['tenant', 'account'],
    needs: 'deliveries:read',
    summary: 'Read how an endpoint has been answering, as a series',
    description:
      'Attempts that succeeded and failed, deferrals, and how long attempts took, by the minute, hour or day they began ' +
      'in; at most 1,500 points. An attempt counts within a second of its end.',
    status: 200,
    answers: EndpointStats,
  })
  async get(
    @Within() reach: Reach,
    @Param() named: EndpointRef,
    @Query({ schema: StatsQuery }) query: StatsQuery,
  ) {
    return this.stats.of(await this.endpoints.get(reach, named), query);
  }
}
