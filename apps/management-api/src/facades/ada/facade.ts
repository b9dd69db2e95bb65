import type { Problem } from '@posthaste/runtime';
import type { Facade, Refusal } from '../facade.js';

/** Ada's webhook API (https://docs.ada.cx/reference/webhooks/overview). */
export const ada: Facade = {
  prefix: '/api/v2/webhooks',
  authorization: (request) => request.headers.authorization,
  refusal,
};

/** Always a list, even of one. What is wrong with fields is one error, with its details. */
function refusal({ code, status, detail, errors }: Problem): Refusal {
  if (code !== 'validation_failed') {
    return { status, body: { errors: [{ type: code, message: detail, details: null }] } };
  }
  const details = errors.map(({ pointer, message }) => ({
    parameter: `$${pointer.replaceAll('/', '.')}`,
    location: 'body',
    message,
  }));
  return { status: 400, body: { errors: [{ type: 'validation_error', message: detail, details }] } };
}
