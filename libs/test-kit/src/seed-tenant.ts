import { RestClient } from './rest-client.js';

/** What the API answers, as far as tests look at it. */
export interface SeenEndpoint {
  id: string;
  url: string;
  enabled: boolean;
  version: number;
}
export interface SeenDelivery {
  id: string;
  message_id: string;
  endpoint_id: string;
  status: string;
  attempts: number;
  next_attempt_at: string | null;
  reason?: string | null;
}
export interface SeenAttempt {
  id: string;
  number: number;
  trigger: string;
  started_at: string;
  duration_ms: number;
  outcome: 'succeeded' | 'failed';
  error: { class: string; message: string } | null;
  request: { url: string; headers: Record<string, string | string[]> };
  response: { status: number; headers: Record<string, string | string[]>; body: string } | null;
  next_attempt_at: string | null;
  requested: { at: string; by: string; replay_id: string | null } | null;
  shadow: { status: number | null; outcome: 'succeeded' | 'failed'; url: string } | null;
}
export interface Published {
  id: string;
  deliveries: number;
}
export interface NewEndpoint {
  url: string;
  event_types?: string[];
  channels?: string[];
  enabled?: boolean;
  retry_policy?: { preset: string } | { schedule_seconds: number[] };
  timeout_seconds?: number;
  headers?: Record<string, string>;
  shadow_url?: string | null;
  description?: string;
  secret?: string;
}

/** One tenant and the calls its program makes, through REST only. */
export class TenantClient {
  constructor(
    readonly id: string,
    readonly keyId: string,
    readonly rest: RestClient,
  ) {}

  get key(): string {
    return this.rest.key ?? '';
  }

  /** The same tenant through another replica. */
  through(url: string): TenantClient {
    return new TenantClient(this.id, this.keyId, new RestClient(url, this.key));
  }

  putAccount(uid: string): Promise<{ id: string; uid: string }> {
    return this.rest.ask('PUT', `/v1/accounts/${uid}`, { body: { name: uid } });
  }

  createEndpoint(account: string, fields: NewEndpoint): Promise<SeenEndpoint> {
    return this.rest.ask('POST', `/v1/accounts/${account}/endpoints`, { body: fields });
  }

  async updateEndpoint(id: string, fields: Partial<NewEndpoint>): Promise<SeenEndpoint> {
    return this.rest.ask('PATCH', `/v1/endpoints/${id}`, {
      body: fields,
      headers: { 'if-match': await this.etagOf(id) },
    });
  }

  async deleteEndpoint(id: string): Promise<void> {
    const headers = { 'if-match': await this.etagOf(id) };
    await this.rest.ask('DELETE', `/v1/endpoints/${id}`, { headers });
  }

  async secretOf(endpoint: string): Promise<string> {
    const { key } = await this.rest.ask<{ key: string }>('GET', `/v1/endpoints/${endpoint}/secret`);
    return key;
  }

  publish(account: string, eventType: string, payload: unknown): Promise<Published> {
    return this.rest.ask('POST', `/v1/accounts/${account}/messages`, {
      body: { event_type: eventType, payload },
    });
  }

  deliveries(account: string, filter = ''): Promise<SeenDelivery[]> {
    return this.rest.all(`/v1/accounts/${account}/deliveries${filter}`);
  }

  delivery(id: string): Promise<SeenDelivery> {
    return this.rest.ask('GET', `/v1/deliveries/${id}`);
  }

  /** In the order they were made. */
  async attempts(delivery: string): Promise<SeenAttempt[]> {
    const attempts = await this.rest.all<SeenAttempt>(`/v1/deliveries/${delivery}/attempts`);
    return attempts.sort((a, b) => a.number - b.number);
  }

  private async etagOf(endpoint: string): Promise<string> {
    const { headers } = await this.rest.send('GET', `/v1/endpoints/${endpoint}`);
    return headers.get('etag') ?? '*';
  }
}

/** A new tenant with a key of its own. */
export async function seedTenant(url: string, operatorKey: string, name = 'test'): Promise<TenantClient> {
  const operator = new RestClient(url, operatorKey);
  const tenant = await operator.ask<{ id: string }>('POST', '/v1/tenants', { body: { name } });
  const key = await operator.ask<{ id: string; key: string }>('POST', `/v1/tenants/${tenant.id}/keys`, {
    body: { name: 'test', scope: 'tenant' },
  });
  return new TenantClient(tenant.id, key.id, new RestClient(url, key.key));
}
