import { Body, Controller, Delete, Get, Inject, Param, Post, Query, Res } from '@nestjs/common';
import { ApiKey, CreateKey, listOf, NewApiKey, PageQuery } from '@posthaste/contracts';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type Author, By } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { Keys, keyView } from './keys.js';

const tag = 'API keys';
const access = ['operator'] as const;

@Controller('v1/tenants/:tenant/keys')
export class KeysController {
  constructor(@Inject(Keys) private readonly keys: Keys) {}

  @Post()
  @Operation({
    id: 'createKey',
    tag,
    summary: 'Make a key',
    description: 'The key itself is in this answer and nowhere else.',
    access,
    status: 201,
    answers: NewApiKey,
  })
  async create(
    @By() author: Author,
    @Param('tenant') tenant: string,
    @Body({ schema: CreateKey }) input: z.infer<typeof CreateKey>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { row, text } = await this.keys.create(author, tenant, input);
    reply.header('location', `/v1/tenants/${tenant}/keys/${row.id}`).header('cache-control', 'no-store');
    return { ...keyView(row), key: text };
  }

  @Get()
  @Operation({
    id: 'listKeys',
    tag,
    summary: "List a tenant's keys, revoked ones too",
    access,
    status: 200,
    answers: listOf(ApiKey, 'ApiKeyList'),
  })
  async list(@Param('tenant') tenant: string, @Query({ schema: PageQuery }) page: PageQuery) {
    return this.keys.list(tenant, page);
  }

  @Get(':key')
  @Operation({ id: 'getKey', tag, summary: 'Read about a key', access, status: 200, answers: ApiKey })
  async get(@Param('tenant') tenant: string, @Param('key') id: string) {
    return keyView(await this.keys.get(tenant, id));
  }

  @Delete(':key')
  @Operation({ id: 'revokeKey', tag, summary: 'Revoke a key', access, status: 204 })
  async revoke(
    @By() author: Author,
    @Param('tenant') tenant: string,
    @Param('key') id: string,
  ): Promise<void> {
    await this.keys.revoke(author, tenant, id);
  }
}
