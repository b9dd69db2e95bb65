import { randomBytes } from 'node:crypto';
import { EndpointInput } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { newSigningSecret } from '@posthaste/wire';
import { type DataSource, In, IsNull, Not } from 'typeorm';
import { AccountRow } from '../../accounts/account.entity.js';
import type { Author, Reach } from '../../access/principal.js';
import { EndpointRow } from '../../endpoints/endpoint.entity.js';
import type { Endpoints } from '../../endpoints/endpoints.js';
import type { EndpointSecrets } from '../../endpoints/endpoint-secrets.js';
import { absent } from '../../http/refusals.js';
import { hasCredits } from '../../usage/monitoring.js';
import {
  type CreateWebhook,
  created,
  endpointOf,
  patchOf,
  type UpdateWebhook,
  WEBHOOK_ID,
  webhookView,
} from './webhook.js';

/** Told to people. */
const SIGNATURE_SCHEME =
  'X-Linkup-Signature: v1=hex(hmac_sha256(secret, X-Linkup-Timestamp + "." + raw body))';

/** An endpoint as a webhook, with what its account is called by the tenant. */
export interface Webhook {
  row: EndpointRow;
  accountUid: string;
}

/**
 * LinkUp's webhooks over our endpoints. A webhook is an endpoint of profile `linkup` whose uid is the webhook's id; it
 * is found without its account, anywhere within the key's reach. An endpoint with the profile and another uid was made
 * by the native API and is seen there only.
 */
export class LinkupWebhooks {
  constructor(
    private readonly database: DataSource,
    private readonly endpoints: Endpoints,
    private readonly secrets: EndpointSecrets,
  ) {}

  async list(reach: Reach) {
    const found = await this.find(reach);
    return found.map(({ row, accountUid }) => webhookView(row, accountUid));
  }

  /** The webhook of this id within reach; `not_found` for a foreign or absent one alike. */
  async get(reach: Reach, id: string): Promise<Webhook> {
    const [webhook] = WEBHOOK_ID.test(id) ? await this.find(reach, id) : [];
    if (!webhook) throw absent('webhook', ':webhook');
    return webhook;
  }

  async create(author: Author, reach: Reach, input: CreateWebhook) {
    const signed = input.enable_signature ?? false;
    if (signed && input.url === undefined) throw customOnly('enable_signature');
    const secret = signed ? newSigningSecret('text') : undefined;
    const row = await this.endpoints.create(author, reach, input.account_id, {
      ...EndpointInput.parse({ ...endpointOf(input), uid: randomBytes(12).toString('hex') }),
      ...(secret === undefined ? {} : { secret }),
    });
    const { uid } = await this.database.manager.findOneByOrFail(AccountRow, { id: row.account });
    return { ...created(row, uid), ...(secret === undefined ? {} : { secret }) };
  }

  async update(author: Author, reach: Reach, id: string, input: UpdateWebhook) {
    const { row, accountUid } = await this.get(reach, id);
    if (row.mode === 'feed' && input.url !== undefined) throw customOnly('url');
    const changed = await this.endpoints.patch(author, reach, { endpoint: row.id }, patchOf(input));
    return webhookView(changed, accountUid);
  }

  async remove(author: Author, reach: Reach, id: string) {
    const { row } = await this.get(reach, id);
    await this.endpoints.remove(author, reach, { endpoint: row.id });
    return { webhook_id: id, deleted: true };
  }

  /** Starting or stopping what is so already changes nothing. */
  async setActive(author: Author, reach: Reach, id: string, active: boolean) {
    const { row, accountUid } = await this.get(reach, id);
    // Also of what is started already: monitoring may have ended under it.
    if (active && !(await hasCredits(this.database, reach.tenant, new Date()))) throw outOfCredits();
    await this.endpoints.setEnabled(author, reach, { endpoint: row.id }, active);
    return { webhook_id: id, account_id: accountUid, monitoring: active };
  }

  /** The old secret dies at once. A webhook that was not signed is from now on. */
  async rotateSecret(author: Author, reach: Reach, id: string) {
    const { row } = await this.get(reach, id);
    if (row.mode === 'feed') throw customOnly('A signature');
    const secret = newSigningSecret('text');
    await this.secrets.rotate(author, reach, { endpoint: row.id }, { key: secret, overlap_seconds: 0 });
    return { webhook_id: id, secret, signature_scheme: SIGNATURE_SCHEME };
  }

  /** Signing off; of no effect on a webhook that is not signed. */
  async deleteSecret(author: Author, reach: Reach, id: string) {
    const { row } = await this.get(reach, id);
    await this.secrets.switchOff(author, reach, { endpoint: row.id });
    return { webhook_id: id, signature_enabled: false };
  }

  private async find({ tenant, account }: Reach, uid?: string): Promise<Webhook[]> {
    const { manager } = this.database;
    const rows = await manager.find(EndpointRow, {
      where: {
        tenant,
        ...(account === null ? {} : { account }),
        profile: 'linkup',
        uid: uid ?? Not(IsNull()),
        deletedAt: IsNull(),
      },
      order: { createdAt: 'DESC', id: 'DESC' },
    });
    const accounts = await manager.findBy(AccountRow, {
      id: In([...new Set(rows.map((row) => row.account))]),
    });
    const uids = new Map(accounts.map((row) => [row.id, row.uid]));
    return rows
      .filter((row) => row.uid !== null && WEBHOOK_ID.test(row.uid))
      .map((row) => ({ row, accountUid: uids.get(row.account) ?? row.account }));
  }
}

function outOfCredits(): Problem {
  return new Problem('insufficient_credits', 'The credits for monitoring are used up; nothing was started.');
}

function customOnly(what: string): Problem {
  return new Problem(
    'validation_failed',
    `${what} is for webhooks with a url (custom mode), not for hosted ones.`,
  );
}
