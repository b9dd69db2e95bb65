import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  Inject,
  Param,
  Patch,
  Post,
  Put,
  Query,
} from '@nestjs/common';
import { type AccountReach, type Author, By, WithinAccount } from '../../access/principal.js';
import { FacadeRoute } from '../facade-route.js';
import { OIDC_KEYS_CACHE, OidcKeys } from './oidc-keys.js';
import { CreateWebhook, UpdateWebhook, webhookView } from './webhook.js';
import { ListQuery, MiddeskWebhooks } from './webhooks.js';

/** Such clients have no way to name an account: their key is one account's. */
const access = ['account'] as const;
const KEYS = 'oidc_keys';

@Controller('v1/webhooks')
export class MiddeskController {
  constructor(
    @Inject(MiddeskWebhooks) private readonly webhooks: MiddeskWebhooks,
    @Inject(OidcKeys) private readonly keys: OidcKeys,
  ) {}

  @Get()
  @FacadeRoute(access, 200, 'endpoints:read')
  async list(@WithinAccount() reach: AccountReach, @Query({ schema: ListQuery }) query: ListQuery) {
    const [rows, total] = await this.webhooks.list(reach, query);
    const { page, per_page } = query;
    return {
      object: 'list',
      data: rows.map(webhookView),
      has_more: page * per_page < total,
      total_count: total,
    };
  }

  @Post()
  @FacadeRoute(access, 201, 'endpoints:write')
  async create(
    @By() author: Author,
    @WithinAccount() reach: AccountReach,
    @Body({ schema: CreateWebhook }) input: CreateWebhook,
  ) {
    return webhookView(await this.webhooks.create(author, reach, input));
  }

  /** Open to everybody, as token servers are. */
  @Get(KEYS)
  @Header('cache-control', OIDC_KEYS_CACHE)
  async oidcKeys() {
    return { keys: await this.keys.published() };
  }

  @Get(':id')
  @FacadeRoute(access, 200, 'endpoints:read')
  async get(@WithinAccount() reach: AccountReach, @Param('id') id: string) {
    return webhookView(await this.webhooks.get(reach, id));
  }

  @Put(':id')
  @FacadeRoute(access, 200, 'endpoints:write')
  async put(
    @By() author: Author,
    @WithinAccount() reach: AccountReach,
    @Param('id') id: string,
    @Body({ schema: UpdateWebhook }) input: UpdateWebhook,
  ) {
    return webhookView(await this.webhooks.update(author, reach, id, input));
  }

  /** The product's public Terraform provider sends it. */
  @Patch(':id')
  @FacadeRoute(access, 200, 'endpoints:write')
  async patch(
    @By() author: Author,
    @WithinAccount() reach: AccountReach,
    @Param('id') id: string,
    @Body({ schema: UpdateWebhook }) input: UpdateWebhook,
  ) {
    return this.put(author, reach, id, input);
  }

  @Delete(':id')
  @FacadeRoute(access, 200, 'endpoints:write')
  async remove(@By() author: Author, @WithinAccount() reach: AccountReach, @Param('id') id: string) {
    return webhookView(await this.webhooks.remove(author, reach, id));
  }
}
