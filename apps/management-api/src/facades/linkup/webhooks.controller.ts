import {
  Body,
  Controller,
  Delete,
  Get,
  Inject,
  Param,
  Patch,
  Post,
  Put,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { type Author, By, type Reach, Within } from '../../access/principal.js';
import { FacadeRoute } from '../facade-route.js';
import { Envelope } from './envelope.js';
import { CreateWebhook, UpdateWebhook, webhookView } from './webhook.js';
import { LinkupWebhooks } from './webhooks.js';

/** LinkUp's keys see every account of theirs; an account's key sees its own. */
export const LINKUP_KEYS = ['tenant', 'account'] as const;

@Controller('v2/webhooks')
@UseInterceptors(Envelope)
export class LinkupWebhooksController {
  constructor(@Inject(LinkupWebhooks) private readonly webhooks: LinkupWebhooks) {}

  @Post()
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:write')
  async create(
    @By() author: Author,
    @Within() reach: Reach,
    @Body({ schema: CreateWebhook }) input: CreateWebhook,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    reply.header('cache-control', 'no-store');
    return this.webhooks.create(author, reach, input);
  }

  @Get()
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:read')
  async list(@Within() reach: Reach) {
    return { items: await this.webhooks.list(reach) };
  }

  @Get(':webhook')
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:read')
  async get(@Within() reach: Reach, @Param('webhook') id: string) {
    const { row, accountUid } = await this.webhooks.get(reach, id);
    return webhookView(row, accountUid);
  }

  @Put(':webhook')
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:write')
  async put(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Body({ schema: UpdateWebhook }) input: UpdateWebhook,
  ) {
    return this.webhooks.update(author, reach, id, input);
  }

  @Patch(':webhook')
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:write')
  async patch(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Body({ schema: UpdateWebhook }) input: UpdateWebhook,
  ) {
    return this.webhooks.update(author, reach, id, input);
  }

  @Delete(':webhook')
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:write')
  async remove(@By() author: Author, @Within() reach: Reach, @Param('webhook') id: string) {
    return this.webhooks.remove(author, reach, id);
  }

  @Post(':webhook/start')
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:write')
  async start(@By() author: Author, @Within() reach: Reach, @Param('webhook') id: string) {
    return this.webhooks.setActive(author, reach, id, true);
  }

  @Post(':webhook/stop')
  @FacadeRoute(LINKUP_KEYS, 200, 'endpoints:write')
  async stop(@By() author: Author, @Within() reach: Reach, @Param('webhook') id: string) {
    return this.webhooks.setActive(author, reach, id, false);
  }

  @Post(':webhook/rotate-secret')
  @FacadeRoute(LINKUP_KEYS, 200, 'secrets:write')
  async rotateSecret(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    reply.header('cache-control', 'no-store');
    return this.webhooks.rotateSecret(author, reach, id);
  }

  @Delete(':webhook/secret')
  @FacadeRoute(LINKUP_KEYS, 200, 'secrets:write')
  async deleteSecret(@By() author: Author, @Within() reach: Reach, @Param('webhook') id: string) {
    return this.webhooks.deleteSecret(author, reach, id);
  }
}
