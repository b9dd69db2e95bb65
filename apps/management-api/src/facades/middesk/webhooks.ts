import { randomUUID } from 'node:crypto';
import type { OAuthInput } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { type DataSource, IsNull, Raw } from 'typeorm';
import { z } from 'zod';
import { findAccount } from '../../accounts/accounts.js';
import type { AccountReach, Author } from '../../access/principal.js';
import { EndpointRow } from '../../endpoints/endpoint.entity.js';
import type { EndpointSecrets } from '../../endpoints/endpoint-secrets.js';
import type { Also, Endpoints } from '../../endpoints/endpoints.js';
import { findEndpointOrNull } from '../../endpoints/find-endpoint.js';
import { etagOf } from '../../http/if-match.js';
import { absent } from '../../http/refusals.js';
import type { OidcKeys } from './oidc-keys.js';
import { type CreateWebhook, toCreate, toPatch, type UpdateWebhook } from './webhook.js';

const TRIES = 5;
const UUID = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';

export const ListQuery = z.strictObject({
  page: z.coerce.number().int().min(1).max(1_000_000).default(1),
  per_page: z.coerce.number().int().min(1).max(100).default(25),
  /** A key sees one account only; it may be named, by its uid or our id. */
  account: z.string().min(1).max(128).optional(),
});
export type ListQuery = z.infer<typeof ListQuery>;

/**
 * An account's webhooks in Middesk's sense: its endpoints of that profile that have a UUID. Others have no name such a
 * client could call them by.
 */
export class MiddeskWebhooks {
  constructor(
    private readonly database: DataSource,
    private readonly endpoints: Endpoints,
    private readonly secrets: EndpointSecrets,
    private readonly keys: OidcKeys,
  ) {}

  async list(reach: AccountReach, { page, per_page, account }: ListQuery): Promise<[EndpointRow[], number]> {
    if (account !== undefined) await findAccount(this.database.manager, reach, account);
    return this.database.manager.findAndCount(EndpointRow, {
      where: {
        tenant: reach.tenant,
        account: reach.account,
        profile: 'middesk',
        uid: Raw((column) => `${column} ~ '${UUID}'`),
        deletedAt: IsNull(),
      },
      order: { createdAt: 'DESC', id: 'DESC' },
      skip: (page - 1) * per_page,
      take: per_page,
    });
  }

  async get(reach: AccountReach, id: string): Promise<EndpointRow> {
    const uid = id.toLowerCase();
    const row = new RegExp(UUID).test(uid)
      ? await findEndpointOrNull(this.database.manager, reach, { endpoint: uid })
      : null;
    if (row?.profile !== 'middesk') throw absent('webhook', ':id');
    return row;
  }

  async create(author: Author, reach: AccountReach, input: CreateWebhook): Promise<EndpointRow> {
    const signingKey = await this.signingKeyFor(input, null);
    const endpoint = toCreate(input, randomUUID(), signingKey);
    return this.endpoints.create(author, reach, reach.account, endpoint, this.also(input));
  }

  async update(author: Author, reach: AccountReach, id: string, input: UpdateWebhook): Promise<EndpointRow> {
    for (let tries = 1; ; tries++) {
      const row = await this.get(reach, id);
      const patch = toPatch(input, row, await this.signingKeyFor(input, row));
      try {
        // What the patch was made from must still hold when it is written.
        const ifMatch = etagOf(row.version);
        return await this.endpoints.patch(
          author,
          reach,
          { endpoint: row.id },
          patch,
          ifMatch,
          this.also(input),
        );
      } catch (error) {
        const isOvertaken = error instanceof Problem && error.code === 'precondition_failed';
        if (!isOvertaken || tries === TRIES) throw error;
      }
    }
  }

  /** Answers what it was. */
  async remove(author: Author, reach: AccountReach, id: string): Promise<EndpointRow> {
    const row = await this.get(reach, id);
    await this.endpoints.remove(author, reach, { endpoint: row.id });
    return row;
  }

  /** What has to be in the same change as the endpoint's fields. */
  private also({ disabled_at, secret }: UpdateWebhook): Also {
    return async (row, draft) => {
      const changed: string[] = [];
      if (disabled_at != null && row.disabledAt?.getTime() !== Date.parse(disabled_at)) {
        row.disabledAt = new Date(disabled_at);
        changed.push('disabled_at');
      }
      if (secret !== undefined) {
        const given = { text: secret, pointer: '/secret' };
        if (await this.secrets.replaceAll(draft, row, given)) changed.push('secret');
      }
      return changed;
    };
  }

  private async signingKeyFor(
    { oidc_auth_method: asked }: UpdateWebhook,
    row: EndpointRow | null,
  ): Promise<OAuthInput['private_key']> {
    const isSigned =
      asked === undefined ? row?.oauth?.method === 'private_key_jwt' : asked === 'private_key_jwt';
    return isSigned ? this.keys.signingKey() : undefined;
  }
}
