import { expect } from '@jest/globals';
import type { RestAnswer, RestClient, TenantClient } from '@posthaste/test-kit';
import { startTestBed, type TestBed } from './test-bed.js';

export interface Webhook {
  id: string;
  url: string;
  enabled_events: string[];
  include: string | null;
  disabled_at: string | null;
  created_at: string;
  updated_at: string;
  [field: string]: unknown;
}

/** What must never be in an answer. */
export const SECRETS = [
  'canary-of-the-signing-secret',
  'canary-of-the-client-secret',
  'canary-of-the-next-secret',
];
export const [SECRET, CLIENT_SECRET, NEXT_SECRET] = SECRETS;
/** A webhook that there is none of. */
export const NOBODY = '0f86dab5-8195-4b95-b3c0-19deaeba2a8e';
export const PATH = '/v1/webhooks';
export const url = 'https://receiver.example/hook';
export const minimal = { url, enabled_events: ['*'] };
export const oidc = {
  oidc_client_id: 'us',
  oidc_token_endpoint: 'https://idp.example/token',
  oidc_access_token_ttl_seconds: 600,
};
export const byKey = { ...oidc, oidc_auth_method: 'private_key_jwt' };
export const bySecret = { ...oidc, oidc_auth_method: 'client_secret', oidc_client_secret: CLIENT_SECRET };

/** The service with accounts whose programs speak Middesk's API. */
export class MiddeskBed {
  private accounts = 0;

  private constructor(
    readonly bed: TestBed,
    readonly tenant: TenantClient,
  ) {}

  static async start(): Promise<MiddeskBed> {
    const bed = await startTestBed();
    return new MiddeskBed(bed, await bed.api.newTenant('Acme'));
  }

  stop(): Promise<void> {
    return this.bed.stop();
  }

  /** The uid of the account made last: `account-1` is the first. */
  get newest(): string {
    return `account-${this.accounts}`;
  }

  /** A client of a new account. */
  async newAccount(): Promise<RestClient> {
    this.accounts++;
    await this.tenant.putAccount(this.newest);
    return this.bed.api.accountClient(this.tenant, this.newest);
  }
}

export async function created(as: RestClient, fields: object = {}): Promise<Webhook> {
  const { status, json, bytes } = await as.post<Webhook>(PATH, { ...minimal, ...fields });
  expect([status, status === 201 ? '' : bytes.toString()]).toEqual([201, '']);
  return json;
}

export const at = ({ id }: { id: string }) => `${PATH}/${id}`;

/** The messages of a refusal, whose shape is looked at. */
export function saidBy(answer: RestAnswer): string[] {
  const { errors, ...rest } = answer.json as { errors: { message: string }[] };
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  expect(rest).toEqual({});
  expect(errors.length).toBeGreaterThan(0);
  expect(errors).toEqual(errors.map(() => ({ message: expect.stringMatching(/\S/) })));
  return errors.map(({ message }) => message);
}
