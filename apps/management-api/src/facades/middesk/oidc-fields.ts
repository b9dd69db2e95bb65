import type { OAuthInput, PatchEndpoint } from '@posthaste/contracts';
import { calledAs } from '@posthaste/egress';
import type { FieldError } from '@posthaste/runtime';
import { z } from 'zod';
import type { EndpointRow } from '../../endpoints/endpoint.entity.js';
import { fieldProblem } from '../../http/refusals.js';

/**
 * The `oidc_*` fields of a webhook as an endpoint's OAuth client, and back. They are a set: whole, or none of it. A change
 * is made to the set there is, and what comes of it must be whole again; without a method nothing is left of it.
 *
 * Where Middesk's documents are silent: a change without `oidc_client_secret` keeps the one there is, unless the token
 * endpoint is another one; null would take it away, which its method cannot do without.
 *
 * What such a client cannot see, our own API may have set: a key of the customer's own, more resources, how the secret is
 * sent. Only what a change names is changed, so all of that stays; a key stays as long as its token endpoint does.
 */
const TTL_SECONDS_MAX = 86_400;

/** A field that may be left out; null and the empty text both say that there is none. */
export function emptyIsNone<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => (value === '' ? null : value), schema.nullable()).optional();
}

export const oidcFields = {
  oidc_auth_method: emptyIsNone(z.enum(['private_key_jwt', 'client_secret'])),
  oidc_client_id: emptyIsNone(z.string().max(512)),
  oidc_client_secret: emptyIsNone(z.string().max(2_048)),
  oidc_token_endpoint: emptyIsNone(z.string().max(2_048)),
  oidc_access_token_ttl_seconds: z.number().int().min(1).max(TTL_SECONDS_MAX).nullable().optional(),
  oidc_scope: emptyIsNone(z.string().max(1_024)),
  oidc_resource_uri: emptyIsNone(z.string().max(2_048)),
};

/** What was said of them. */
type Said = z.infer<z.ZodObject<typeof oidcFields>>;

/** The `oidc_*` fields that can be read. */
interface Oidc {
  oidc_auth_method: 'private_key_jwt' | 'client_secret' | null;
  oidc_client_id: string | null;
  oidc_token_endpoint: string | null;
  oidc_access_token_ttl_seconds: number | null;
  oidc_scope: string | null;
  oidc_resource_uri: string | null;
}

export function oidcOf({ oauth }: Pick<EndpointRow, 'oauth'>): Oidc {
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
 * What the fields change of the client there is; null: it is taken away. Undefined: nothing about it changes, and then
 * it need not be whole either, as one that our own API has made.
 */
export function toOAuth(
  input: Said,
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
  const isOther = (name: keyof Oidc) => wanted[name] !== current[name];
  const isUntouched = !(Object.keys(wanted) as (keyof Oidc)[]).some(isOther);
  const { oidc_client_secret: secret } = input;
  // Where no secret is used, to have none is nothing new.
  const isSecretUntouched =
    secret === undefined || (secret === null && wanted.oidc_auth_method !== 'client_secret');
  if (isUntouched && isSecretUntouched) return undefined;
  const isSameServer = isSame(current.oidc_token_endpoint, wanted.oidc_token_endpoint);
  refusePartialSet(wanted, secret, isSameServer && !isOther('oidc_auth_method'));
  if (wanted.oidc_auth_method === null) return row?.oauth ? null : undefined;
  const isSigned = wanted.oidc_auth_method === 'private_key_jwt';
  return {
    ...(isOther('oidc_token_endpoint') && { token_url: wanted.oidc_token_endpoint ?? '' }),
    ...(isOther('oidc_client_id') && { client_id: wanted.oidc_client_id ?? '' }),
    ...(isOther('oidc_auth_method') && { method: isSigned ? 'private_key_jwt' : 'client_secret_post' }),
    ...(secret != null && { client_secret: secret }),
    ...(isSigned &&
      (isOther('oidc_auth_method') || !isSameServer) && {
        private_key: signingKey,
        alg: 'RS256' as const,
        assertion_audience: 'token_endpoint',
      }),
    ...(isOther('oidc_scope') && { scope: wanted.oidc_scope }),
    ...(isOther('oidc_resource_uri') && {
      resource: wanted.oidc_resource_uri === null ? [] : [wanted.oidc_resource_uri],
    }),
    ...(isOther('oidc_access_token_ttl_seconds') && {
      max_token_ttl_seconds: wanted.oidc_access_token_ttl_seconds,
    }),
  };
}

/** Whether two are one token endpoint, however it is written. */
function isSame(one: string | null, other: string | null): boolean {
  return one === null || other === null ? one === other : calledAs(one) === calledAs(other);
}

const neededByBoth = ['oidc_client_id', 'oidc_token_endpoint', 'oidc_access_token_ttl_seconds'] as const;

/** @param isKept whether the secret there is, if any, stays good for it */
function refusePartialSet(wanted: Oidc, secret: string | null | undefined, isKept: boolean): void {
  const method = wanted.oidc_auth_method;
  const errors: FieldError[] = [];
  const refuse = (field: string, code: string, message: string): void => {
    errors.push({ pointer: `/${field}`, code, message });
  };
  if (method === null) {
    const isAny = secret != null || Object.values(wanted).some((value) => value !== null);
    if (isAny) refuse('oidc_auth_method', 'required', 'is required with any other of the oidc fields');
  } else {
    for (const field of neededByBoth) {
      if (wanted[field] === null) refuse(field, 'required', `is required by ${method}`);
    }
    if (method === 'client_secret' && (secret === null || (secret === undefined && !isKept))) {
      refuse('oidc_client_secret', 'required', 'is required by client_secret, for each token endpoint anew');
    }
    if (method === 'private_key_jwt' && secret != null) {
      refuse('oidc_client_secret', 'not_allowed', 'is not used by private_key_jwt');
    }
  }
  if (errors.length > 0) throw fieldProblem(errors);
}
