import { CreateEndpoint, EventTypeName, type OAuthInput, type PatchEndpoint } from '@posthaste/contracts';
import type { FieldError } from '@posthaste/runtime';
import { z } from 'zod';
import type { EndpointRow } from '../../endpoints/endpoint.entity.js';
import { fieldProblem } from '../../http/refusals.js';
import { checked } from '../../http/validate.js';

/**
 * A webhook of Middesk as an endpoint of ours, and back. Where its documents are silent, the guess is here:
 *
 * - What a webhook says of itself (`id`, `object`, `created_at`, `updated_at`, `oauth_client_id`) may be sent back and
 *   changes nothing; any other name that is no field is refused.
 * - `oauth_client_id` names the OAuth application a webhook was made through. Ours are made with keys: it is null.
 * - Any time in `disabled_at` disables now, and is given back as it was. A webhook that was disabled for another reason
 *   shows when that was.
 * - `include` is given back as it was said. Known are the associations of a business, all that is no scalar in one.
 * - The `secret` may be left out: then requests are not signed.
 * - Without `oidc_client_secret` a change keeps the one there is, unless the token endpoint is another one.
 *
 * Nothing here keeps a secret: the answers have no field for one.
 */
const associations = new Set(
  (
    'addresses adverse_media_screening bankruptcies certifications documents email_addresses fmcsa_registrations ' +
    'formation industry_classification liens litigations loans monitor names orders people phone_numbers ' +
    'policy_results politically_exposed_person_screening profiles registrations requester review signal submitted ' +
    'subscription subscription_availability supported_document_types tags tax_exempt_organization tin watchlist website'
  ).split(' '),
);

const IDENTIFIERS = 'identifiers';
const ALL = '*';
const TTL_SECONDS_MAX = 86_400;

const readOnly = z.unknown().optional();
const fields = {
  url: z.string().min(1).max(2_048),
  enabled_events: z
    .array(z.union([z.literal(ALL), EventTypeName]))
    .min(1)
    .max(500),
  include: z.string().max(1_024).nullable(),
  oidc_auth_method: z.enum(['private_key_jwt', 'client_secret']).nullable(),
  oidc_client_id: z.string().min(1).max(512).nullable(),
  oidc_client_secret: z.string().min(1).max(2_048).nullable(),
  oidc_token_endpoint: z.string().min(1).max(2_048).nullable(),
  oidc_access_token_ttl_seconds: z.number().int().min(1).max(TTL_SECONDS_MAX).nullable(),
  oidc_scope: z.string().min(1).max(1_024).nullable(),
  oidc_resource_uri: z.string().min(1).max(2_048).nullable(),
};

const said = {
  object: readOnly,
  id: readOnly,
  created_at: readOnly,
  updated_at: readOnly,
  oauth_client_id: readOnly,
  disabled_at: z.iso.datetime({ offset: true }).nullable().optional(),
};

export const UpdateWebhook = z.strictObject({
  ...said,
  url: fields.url.optional(),
  enabled_events: fields.enabled_events.optional(),
  secret: CreateEndpoint.shape.secret,
  include: fields.include.optional(),
  oidc_auth_method: fields.oidc_auth_method.optional(),
  oidc_client_id: fields.oidc_client_id.optional(),
  oidc_client_secret: fields.oidc_client_secret.optional(),
  oidc_token_endpoint: fields.oidc_token_endpoint.optional(),
  oidc_access_token_ttl_seconds: fields.oidc_access_token_ttl_seconds.optional(),
  oidc_scope: fields.oidc_scope.optional(),
  oidc_resource_uri: fields.oidc_resource_uri.optional(),
});
export type UpdateWebhook = z.infer<typeof UpdateWebhook>;

export const CreateWebhook = UpdateWebhook.extend({
  url: fields.url,
  enabled_events: fields.enabled_events,
  secret: CreateEndpoint.shape.secret,
});
export type CreateWebhook = z.infer<typeof CreateWebhook>;

/** The `oidc_*` fields that can be read. */
interface Oidc {
  oidc_auth_method: 'private_key_jwt' | 'client_secret' | null;
  oidc_client_id: string | null;
  oidc_token_endpoint: string | null;
  oidc_access_token_ttl_seconds: number | null;
  oidc_scope: string | null;
  oidc_resource_uri: string | null;
}

export function webhookView(row: EndpointRow) {
  return {
    object: 'webhook',
    id: row.uid,
    url: row.url,
    enabled_events: row.eventTypes.length === 0 ? [ALL] : row.eventTypes,
    include: includeOf(row),
    ...oidcOf(row),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
    disabled_at: row.disabledAt?.toISOString() ?? null,
    oauth_client_id: null,
  };
}

/** @param signingKey what assertions are signed with, as a JWK with its certificate */
export function toCreate(
  input: CreateWebhook,
  id: string,
  signingKey: OAuthInput['private_key'],
): CreateEndpoint {
  const { url, enabled_events, secret, include, disabled_at } = input;
  return checked(CreateEndpoint, {
    url,
    uid: id,
    event_types: toEventTypes(enabled_events),
    enabled: (disabled_at ?? null) === null,
    profile: 'middesk',
    retry_policy: { preset: 'middesk' },
    include: namesIn(include ?? null),
    metadata: include == null ? {} : { include },
    ...(secret === undefined ? {} : { secret }),
    oauth: toOAuth(input, null, signingKey) ?? null,
  });
}

/** What changes of the endpoint, but for the secret and the time it says it was disabled. */
export function toPatch(
  input: UpdateWebhook,
  row: EndpointRow,
  signingKey: OAuthInput['private_key'],
): PatchEndpoint {
  const { url, enabled_events, include, disabled_at } = input;
  const oauth = toOAuth(input, row, signingKey);
  return {
    ...(url === undefined ? {} : { url }),
    ...(enabled_events === undefined ? {} : { event_types: toEventTypes(enabled_events) }),
    // As the core keeps it, and as it was said.
    ...(include === undefined ? {} : { include: namesIn(include), metadata: { include } }),
    ...(disabled_at === undefined ? {} : { enabled: disabled_at === null }),
    ...(oauth === undefined ? {} : { oauth }),
  };
}

/** The whole set of events, if it is among them. */
function toEventTypes(events: string[]): string[] {
  return events.includes(ALL) ? [] : events;
}

/** The members that go along with the scalars; null = all. */
function namesIn(include: string | null): string[] | null {
  const said = (include ?? ALL)
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (said.length === 0) throw unknownAssociation(`names nothing; ${IDENTIFIERS} is for scalars only`);
  if (said.includes(ALL)) return null;
  const named = said.filter((name) => name !== IDENTIFIERS);
  const unknown = named.filter((name) => !associations.has(name));
  if (unknown.length === 0) return named;
  throw unknownAssociation(`names no association: ${unknown.slice(0, 10).join(', ').slice(0, 200)}`);
}

function unknownAssociation(message: string) {
  return fieldProblem([{ pointer: '/include', code: 'unknown_association', message }]);
}

/** As it was said, unless another API has changed it since. */
function includeOf({ include, metadata }: EndpointRow): string | null {
  const raw = metadata['include'];
  const kept = include === null ? null : include.length === 0 ? IDENTIFIERS : include.join(',');
  if (raw === undefined) return kept;
  try {
    return JSON.stringify(namesIn(raw)) === JSON.stringify(include) ? raw : kept;
  } catch {
    return kept;
  }
}

function oidcOf({ oauth }: Pick<EndpointRow, 'oauth'>): Oidc {
  return {
    oidc_auth_method: oauth && (oauth.method === 'private_key_jwt' ? 'private_key_jwt' : 'client_secret'),
    oidc_client_id: oauth?.clientId ?? null,
    oidc_token_endpoint: oauth?.tokenUrl ?? null,
    oidc_access_token_ttl_seconds: oauth?.maxTokenTtlSeconds ?? null,
    oidc_scope: oauth?.scope ?? null,
    oidc_resource_uri: oauth?.resource[0] ?? null,
  };
}

/**
 * The client the fields make together with those there are; null: none. Undefined: nothing about it changes, which must
 * be told apart, since a key that is given again is sealed again.
 */
function toOAuth(
  input: UpdateWebhook,
  row: EndpointRow | null,
  signingKey: OAuthInput['private_key'],
): PatchEndpoint['oauth'] {
  const current = oidcOf(row ?? { oauth: null });
  const given = Object.fromEntries(
    Object.entries(input).filter(([name, value]) => name in current && value !== undefined),
  );
  // Without a method nothing else is left of the set there was.
  const isEnded = input.oidc_auth_method === null;
  const wanted: Oidc = { ...(isEnded ? oidcOf({ oauth: null }) : current), ...given };
  const secret = input.oidc_client_secret ?? undefined;
  refusePartialSet(wanted, secret, current);
  if (wanted.oidc_auth_method === null) return row?.oauth ? null : undefined;
  const isSame = Object.entries(wanted).every(([name, value]) => current[name as keyof Oidc] === value);
  if (isSame && secret === undefined) return undefined;
  const isSigned = wanted.oidc_auth_method === 'private_key_jwt';
  return {
    token_url: wanted.oidc_token_endpoint ?? '',
    client_id: wanted.oidc_client_id ?? '',
    method: isSigned ? 'private_key_jwt' : 'client_secret_post',
    ...(secret === undefined ? {} : { client_secret: secret }),
    ...(isSigned
      ? { private_key: signingKey, alg: 'RS256' as const, assertion_audience: 'token_endpoint' }
      : {}),
    scope: wanted.oidc_scope,
    resource: wanted.oidc_resource_uri === null ? [] : [wanted.oidc_resource_uri],
    max_token_ttl_seconds: wanted.oidc_access_token_ttl_seconds,
  };
}

const neededByBoth = ['oidc_client_id', 'oidc_token_endpoint', 'oidc_access_token_ttl_seconds'] as const;

function refusePartialSet(wanted: Oidc, secret: string | undefined, current: Oidc): void {
  const method = wanted.oidc_auth_method;
  const errors: FieldError[] = [];
  const refuse = (field: string, code: string, message: string): void => {
    errors.push({ pointer: `/${field}`, code, message });
  };
  if (method === null) {
    const isAny = secret !== undefined || Object.values(wanted).some((value) => value !== null);
    if (isAny) refuse('oidc_auth_method', 'required', 'is required with any other of the oidc fields');
  } else {
    for (const field of neededByBoth) {
      if (wanted[field] === null) refuse(field, 'required', `is required by ${method}`);
    }
    const isKept =
      current.oidc_auth_method === method && current.oidc_token_endpoint === wanted.oidc_token_endpoint;
    if (method === 'client_secret' && secret === undefined && !isKept) {
      refuse('oidc_client_secret', 'required', 'is required by client_secret, for each token endpoint anew');
    }
    if (method === 'private_key_jwt' && secret !== undefined) {
      refuse('oidc_client_secret', 'not_allowed', 'is not used by private_key_jwt');
    }
  }
  if (errors.length > 0) throw fieldProblem(errors);
}
