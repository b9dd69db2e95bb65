import { Body, Controller, Delete, Get, Inject, Param, Patch, Post, Query, Req, Res } from '@nestjs/common';
import { CreateEndpoint, isId, PatchEndpoint } from '@posthaste/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import {
  type AccountReach,
  type Author,
  By,
  type Reach,
  Within,
  WithinAccount,
} from '../../access/principal.js';
import { endpointView } from '../../endpoints/endpoint-fields.js';
import { Endpoints } from '../../endpoints/endpoints.js';
import { EndpointSecrets } from '../../endpoints/endpoint-secrets.js';
import { EventTypes } from '../../event-types/event-types.js';
import { PublicUrl } from '../../http/public-url.js';
import { absent } from '../../http/refusals.js';
import { FacadeRoute } from '../facade-route.js';
import {
  CreateWebhook,
  endpointFields,
  PatchWebhook,
  RotateKey,
  ROTATION_OVERLAP_SECONDS,
  webhookDefaults,
  webhookOf,
  WebhookPage,
} from './webhook.js';

/** A handle at Ada is an account here: a key that speaks for more than one cannot say which. */
const access = ['account'] as const;

/**
 * Ada's webhook API over an account's endpoints of profile `ada`, made here or natively. Those of other profiles are not
 * there for its clients.
 */
@Controller('api/v2/webhooks')
export class AdaWebhooksController {
  constructor(
    @Inject(Endpoints) private readonly endpoints: Endpoints,
    @Inject(EndpointSecrets) private readonly secrets: EndpointSecrets,
    @Inject(EventTypes) private readonly eventTypes: EventTypes,
    @Inject(PublicUrl) private readonly publicUrl: PublicUrl,
  ) {}

  @Get()
  @FacadeRoute(access, 200, 'endpoints:read')
  async list(
    @WithinAccount() reach: AccountReach,
    @Query({ schema: WebhookPage }) page: z.infer<typeof WebhookPage>,
    @Req() request: FastifyRequest,
  ) {
    const { mode, profile } = webhookDefaults;
    const found = await this.endpoints.list(reach, reach.account, page, { mode, profile });
    const next = found.next_cursor === null ? null : this.nextPageUrl(request, found.next_cursor);
    return { data: found.data.map(webhookOf), meta: { next_page_url: next } };
  }

  @Post()
  @FacadeRoute(access, 201, 'endpoints:write')
  async create(
    @By() author: Author,
    @WithinAccount() reach: AccountReach,
    @Body({ schema: CreateWebhook }) input: CreateWebhook,
  ) {
    const fields = CreateEndpoint.parse({ ...endpointFields(input), ...webhookDefaults });
    return webhookOf(endpointView(await this.endpoints.create(author, reach, reach.account, fields)));
  }

  @Get('event-types')
  @FacadeRoute(access, 200, 'event-types:read')
  async listEventTypes(@Within() reach: Reach) {
    const rows = await this.eventTypes.offered(reach);
    return { data: rows.map(({ name, description }) => ({ name, description })) };
  }

  @Get(':webhook')
  @FacadeRoute(access, 200, 'endpoints:read')
  async get(@Within() reach: Reach, @Param('webhook') id: string) {
    return webhookOf(endpointView(await this.webhook(reach, id)));
  }

  @Patch(':webhook')
  @FacadeRoute(access, 200, 'endpoints:write')
  async patch(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Body({ schema: PatchWebhook.prefault({}) }) patch: PatchWebhook,
  ) {
    const { id: endpoint } = await this.webhook(reach, id);
    const fields = PatchEndpoint.parse(endpointFields(patch));
    return webhookOf(endpointView(await this.endpoints.patch(author, reach, { endpoint }, fields)));
  }

  @Delete(':webhook')
  @FacadeRoute(access, 204, 'endpoints:write')
  async remove(@By() author: Author, @Within() reach: Reach, @Param('webhook') id: string): Promise<void> {
    const { id: endpoint } = await this.webhook(reach, id);
    await this.endpoints.remove(author, reach, { endpoint });
  }

  /**
   * What its receiver verifies with: of a webhook that was left with asymmetric signatures only, which Ada does not
   * have, that is the public key.
   */
  @Get(':webhook/secret')
  @FacadeRoute(access, 200, 'secrets:read')
  async secret(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { id: endpoint } = await this.webhook(reach, id);
    const query = { version: 'v1', orOther: true } as const;
    const { key, public_key } = await this.secrets.reveal(author, reach, { endpoint }, query);
    reply.header('cache-control', 'no-store');
    return { key: public_key ?? key };
  }

  /** The new secret is read with the route above. */
  @Post(':webhook/secret/rotate')
  @FacadeRoute(access, 200, 'secrets:write')
  async rotate(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('webhook') id: string,
    @Body({ schema: RotateKey.prefault({}) }) { key }: RotateKey,
  ) {
    const { id: endpoint } = await this.webhook(reach, id);
    const overlap = { overlap_seconds: ROTATION_OVERLAP_SECONDS };
    await this.secrets.rotate(
      author,
      reach,
      { endpoint },
      { ...overlap, key: key ?? undefined, version: 'v1' },
    );
    return {};
  }

  /** By its id only. What an endpoint is at its creation it stays, so a change may trust this. */
  private async webhook(reach: Reach, id: string) {
    if (!isId('endpoint', id)) throw absent('endpoint', ':webhook');
    const row = await this.endpoints.get(reach, { endpoint: id });
    if (row.profile !== webhookDefaults.profile || row.mode !== webhookDefaults.mode) {
      throw absent('endpoint', ':webhook');
    }
    return row;
  }

  /** Where the request came to, with what it asked, further on. */
  private nextPageUrl(request: FastifyRequest, cursor: string): string {
    const { limit } = request.query as { limit?: string };
    const more = new URLSearchParams({ ...(limit === undefined ? {} : { limit }), cursor });
    return `${this.publicUrl.for(request)}${request.routeOptions.url}/?${more.toString()}`;
  }
}
