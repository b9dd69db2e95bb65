import type { Problem } from '@posthaste/runtime';
import type { Facade, Refusal } from '../facade.js';

/** Middesk's webhook API (https://docs.middesk.com/api-reference/webhooks/create-webhook). */
export const middesk: Facade = {
  prefix: '/v1/webhooks',
  authorization: (request) => bearerOfBasic(request.headers.authorization),
  refusal,
};

/** The key may also be the user name of HTTP Basic. */
function bearerOfBasic(authorization: string | undefined): string | undefined {
  const [, encoded] = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return authorization;
  const [user = ''] = Buffer.from(encoded, 'base64').toString().split(':', 1);
  return `Bearer ${user}`;
}

function refusal({ status, detail, errors }: Problem): Refusal {
  const messages =
    errors.length > 0 ? errors.map(({ pointer, message }) => `${pointer} ${message}`) : [detail];
  return { status, body: { errors: messages.map((message) => ({ message })) } };
}
