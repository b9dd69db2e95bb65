import type { Problem } from '@posthaste/runtime';
import { type Facade, nameOf, type Refusal } from '../facade.js';

/** Middesk's webhook API (https://docs.middesk.com/api-reference/webhooks/create-webhook). */
export const middesk: Facade = {
  prefix: '/v1/webhooks',
  // Its documents are silent; the kind of server it runs on takes both.
  trailingSlash: true,
  challenges: ['Basic realm="webhooks", charset="UTF-8"', 'Bearer realm="webhooks"'],
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

/** What the core calls otherwise than Middesk does. */
const names: Record<string, string> = {
  event_types: 'enabled_events',
  'oauth.token_url': 'oidc_token_endpoint',
  'oauth.client_id': 'oidc_client_id',
  'oauth.client_secret': 'oidc_client_secret',
  'oauth.scope': 'oidc_scope',
  'oauth.resource': 'oidc_resource_uri',
  'oauth.max_token_ttl_seconds': 'oidc_access_token_ttl_seconds',
};

const NO_KEY = 'Send a valid API key, as Authorization: Bearer <key> or as the user name of HTTP Basic.';

/** A message for each field that is wrong; of anything else one. */
function refusal({ code, status, detail, errors }: Problem): Refusal {
  const isOfFields = code === 'validation_failed' || code === 'invalid_request';
  const messages =
    isOfFields && errors.length > 0
      ? errors.map(({ pointer, message }) => `${theirNameOf(pointer)} ${message}`)
      : [code === 'unauthenticated' ? NO_KEY : detail];
  return { status, body: { errors: messages.map((message) => ({ message })) } };
}

function theirNameOf(pointer: string): string {
  const name = nameOf(pointer);
  const core = Object.keys(names).find((one) => name === one || name.startsWith(`${one}.`));
  return name === '' ? 'the body' : core === undefined ? name : (names[core] ?? name);
}
