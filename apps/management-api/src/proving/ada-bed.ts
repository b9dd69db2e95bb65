import { expect } from '@jest/globals';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import type { Webhook } from '../facades/ada/webhook.js';
import { startTestBed, type TestBed } from './test-bed.js';

export const WEBHOOKS = '/api/v2/webhooks/';
export const URL_OK = 'https://receiver.example/hooks';
/** A webhook of which nothing but its URL was said. */
export const WEBHOOK = {
  id: expect.stringMatching(/^ep_[0-9A-Za-z]{27}$/) as unknown,
  url: URL_OK,
  description: '',
  event_filters: [],
  enabled: true,
  created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/) as unknown,
  updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/) as unknown,
};

export interface Page {
  data: Webhook[];
  meta: { next_page_url: string | null };
}

/** The service with a tenant and accounts whose programs speak Ada's API. */
export class AdaBed {
  private constructor(
    readonly bed: TestBed,
    readonly tenant: TenantClient,
  ) {}

  static async start(): Promise<AdaBed> {
    const bed = await startTestBed();
    return new AdaBed(bed, await bed.api.newTenant('Acme'));
  }

  stop(): Promise<void> {
    return this.bed.stop();
  }

  /** A client of a new account. */
  async newClient(account: string, of = this.tenant): Promise<RestClient> {
    await of.putAccount(account);
    return this.bed.api.accountClient(of, account);
  }
}

export function created(client: RestClient, fields: object = {}): Promise<Webhook> {
  return client.ask('POST', WEBHOOKS, { body: { url: URL_OK, ...fields } });
}
