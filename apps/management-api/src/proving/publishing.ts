import type { PublishedMessage } from '@posthaste/contracts';
import type { RestAnswer, TenantClient } from '@posthaste/test-kit';
import type { ApiUnderTest } from './api-under-test.js';

export const MESSAGES = '/v1/accounts/acme/messages';

/** The text of a small message. */
export const message = (more: object = {}): string =>
  JSON.stringify({ event_type: 'invoice.paid', payload: { n: 1 }, ...more });

/** Where a message is posted when it is not the account `acme` of the suite's tenant through the first replica. */
export interface Elsewhere {
  api?: ApiUnderTest;
  path?: string;
  key?: string | undefined;
}

export type Post = (
  body: string | Buffer,
  headers?: Record<string, string>,
  elsewhere?: Elsewhere,
) => Promise<RestAnswer<PublishedMessage>>;

/** Posts as the tenant, through the replica. */
export function posting(api: ApiUnderTest, tenant: TenantClient): Post {
  return (body, headers, { api: through = api, path = MESSAGES, key = tenant.rest.key } = {}) =>
    through.as(key).post(path, body, headers);
}
