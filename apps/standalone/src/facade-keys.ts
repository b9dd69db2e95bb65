import type { ApiClient } from './api-client.js';

/** What clients of other products are given instead of their product's key. */
export interface FacadeKeys {
  ada: string;
  linkup: string;
  middesk: string;
}

/** Ada's and Middesk's clients speak for one account; LinkUp's name the account in what they send. */
export async function newFacadeKeys(
  operator: ApiClient,
  tenant: string,
  account: string,
): Promise<FacadeKeys> {
  const newKey = async (input: { name: string; scope: string; account?: string }): Promise<string> => {
    const { key } = await operator.call<{ key: string }>('POST', `/v1/tenants/${tenant}/keys`, input);
    return key;
  };
  return {
    ada: await newKey({ name: 'npm start, for Ada', scope: 'account', account }),
    linkup: await newKey({ name: 'npm start, for LinkUp', scope: 'tenant' }),
    middesk: await newKey({ name: 'npm start, for Middesk', scope: 'account', account }),
  };
}
