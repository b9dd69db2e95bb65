import type { Problem } from '@posthaste/runtime';
import type { Facade, Refusal } from '../facade.js';

/** LinkUp's webhook API (https://docs.linkupapi.com/api-reference/v2/webhooks/introduction). */
export const linkup: Facade = {
  prefix: '/v2/webhooks',
  authorization: (request) => {
    const { api_key: inQuery } = request.query as { api_key?: unknown };
    const key = request.headers['x-api-key'] ?? inQuery;
    return typeof key === 'string' ? `Bearer ${key}` : undefined;
  },
  refusal,
};

function refusal({ status, detail }: Problem): Refusal {
  return { status, body: { success: false, error: { code: 'INVALID_PARAMS', message: detail } } };
}
