import { createHmac } from 'node:crypto';
import type { Permission } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import {
  type Published,
  type ReceivedRequest,
  type Receiver,
  RestClient,
  type SeenAttempt,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import type { Parties } from './test-stack.js';

/** Who there is around Ada's webhook API: programs that call it, backends that publish, receivers that verify. */
export const WEBHOOKS = '/api/v2/webhooks/';
export const CREATED = 'v1.end_user.created';

export interface Webhook {
  id: string;
  url: string;
  description: string;
  event_filters: string[];
  enabled: boolean;
  created_at: string;
  updated_at: string;
}
export interface Page {
  data: Webhook[];
  meta: { next_page_url: string | null };
}

/** A key of an account; without permissions named it may do whatever accounts' keys may. */
export function accountKey(
  stack: Stack,
  { id }: TenantClient,
  account: string,
  permissions?: Permission[],
): Promise<{ id: string; key: string }> {
  const operator = new RestClient(stack.url, stack.operatorKey);
  const body = { scope: 'account', account, permissions };
  return operator.ask('POST', `/v1/tenants/${id}/keys`, { body });
}

/** One of Ada's tenants, such as `<handle>.ada.support`: an account, the program that has its key, and its backend. */
export class AdaHandle {
  private constructor(
    readonly account: string,
    readonly client: RestClient,
    private readonly backend: TenantClient,
    private readonly receiver: Receiver,
  ) {}

  static async of(
    account: string,
    { stack, receiver, tenant }: Omit<Parties, 'database'>,
  ): Promise<AdaHandle> {
    await tenant.putAccount(account);
    const { key } = await accountKey(stack, tenant, account);
    return new AdaHandle(account, new RestClient(stack.url, key), tenant, receiver);
  }

  /** To a path of the receiver that is the account's, or this one. */
  create(fields: object = {}, path = `/${this.account}`): Promise<Webhook> {
    return this.client.ask('POST', WEBHOOKS, { body: { url: this.receiver.url(path), ...fields } });
  }

  patch({ id }: Webhook, body: object): Promise<Webhook> {
    return this.client.ask('PATCH', WEBHOOKS + id, { body });
  }

  rotate({ id }: Webhook, body: object = {}): Promise<unknown> {
    return this.client.ask('POST', `${WEBHOOKS}${id}/secret/rotate/`, { body });
  }

  async secretOf({ id }: Webhook): Promise<string> {
    return (await this.client.ask<{ key: string }>('GET', `${WEBHOOKS}${id}/secret/`)).key;
  }

  /** What its backend says has happened. A payload that is text is JSON already. */
  publish(type = CREATED, payload: unknown = { n: 1 }, labels: object = {}): Promise<Published> {
    const json = typeof payload === 'string' ? payload : JSON.stringify(payload);
    const body = `{"event_type":"${type}","payload":${json},${JSON.stringify(labels).slice(1)}`.replace(
      /,}$/,
      '}',
    );
    return this.backend.rest.ask('POST', `/v1/accounts/${this.account}/messages`, { body });
  }

  /** The attempts of its only delivery, once there are so many. */
  async attempts(count: number): Promise<SeenAttempt[]> {
    return waitFor(
      async () => {
        const [delivery] = await this.backend.deliveries(this.account);
        const attempts = delivery && (await this.backend.attempts(delivery.id));
        return attempts !== undefined && attempts.length >= count && attempts;
      },
      { what: `${count} attempts at ${this.account}`, everyMs: 200, deadlineMs: 60_000 },
    );
  }
}

const headersOf = ({ headers }: ReceivedRequest, prefix: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name, String(value)]] : [],
    ),
  );

/** Whether its libraries take a request for what was signed by the secret, by whichever names they know. */
export function verifiedBy(request: ReceivedRequest, secret: string): string[] {
  const ways = [
    () => new SvixWebhook(secret).verify(request.body, headersOf(request, 'svix-')),
    () => new SvixWebhook(secret).verify(request.body, headersOf(request, 'webhook-')),
    () => new StandardWebhook(secret).verify(request.body, headersOf(request, 'webhook-')),
  ];
  return ways.map((verify) => {
    try {
      verify();
      return 'verified';
    } catch (error) {
      return (error as Error).message;
    }
  });
}

/** As the golden vector was made: over `id.timestamp.body`, by the bytes behind `whsec_`. */
export function signatureOf(secret: string, id: string, timestamp: string, body: string | Buffer): string {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`;
}
