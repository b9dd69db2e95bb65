import { Body, Controller, Delete, Get, Inject, Param, Patch, Post, Query, Res } from '@nestjs/common';
import { CreateTenant, listOf, PageQuery, PatchTenant, Tenant } from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type Author, By } from '../access/principal.js';
import { IfMatch, withEtag } from '../http/if-match.js';
import { Operation } from '../http/operation.js';
import { Tenants, tenantView } from './tenants.js';

const tag = 'Tenants';
const access = ['operator'] as const;

@Controller('v1/tenants')
export class TenantsController {
  constructor(@Inject(Tenants) private readonly tenants: Tenants) {}

  @Post()
  @Operation({
    id: 'createTenant',
    tag,
    summary: 'Create a tenant',
    access,
    status: 201,
    answers: Tenant,
    etag: true,
  })
  async create(
    @By() author: Author,
    @Body({ schema: CreateTenant }) input: z.infer<typeof CreateTenant>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const row = await this.tenants.create(author, input);
    reply.header('location', `/v1/tenants/${row.id}`);
    return withEtag(reply, row, tenantView);
  }

  @Get()
  @Operation({
    id: 'listTenants',
    tag,
    summary: 'List tenants',
    access,
    status: 200,
    answers: listOf(Tenant, 'TenantList'),
  })
  async list(@Query({ schema: PageQuery }) page: PageQuery) {
    return this.tenants.list(page);
  }

  @Get(':tenant')
  @Operation({
    id: 'getTenant',
    tag,
    summary: 'Read a tenant',
    access,
    status: 200,
    answers: Tenant,
    etag: true,
  })
  async get(@Param('tenant') id: string, @Res({ passthrough: true }) reply: FastifyReply) {
    return withEtag(reply, await this.tenants.get(id), tenantView);
  }

  @Patch(':tenant')
  @Operation({
    id: 'patchTenant',
    tag,
    summary: 'Change a tenant',
    access,
    status: 200,
    answers: Tenant,
    etag: true,
  })
  async patch(
    @By() author: Author,
    @Param('tenant') id: string,
    @Body({ schema: PatchTenant }) patch: z.infer<typeof PatchTenant>,
    @IfMatch() ifMatch: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return withEtag(reply, await this.tenants.patch(author, id, patch, ifMatch), tenantView);
  }

  @Delete(':tenant')
  @Operation({
    id: 'deleteTenant',
    tag,
    summary: 'Delete a tenant, its accounts and endpoints',
    description:
      'Its data keys are destroyed: nothing it sealed can be opened again. The payloads of its history are shredded. ' +
      'At most 1,000 accounts.',
    access,
    status: 204,
    problems: [409],
  })
  async remove(
    @By() author: Author,
    @Param('tenant') id: string,
    @IfMatch() ifMatch: string | undefined,
  ): Promise<void> {
    await this.tenants.remove(author, id, ifMatch);
  }
}
