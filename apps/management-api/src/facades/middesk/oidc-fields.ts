import type { OAuthInput, PatchEndpoint } from '@posthaste/contracts';
import type { FieldError } from '@posthaste/runtime';
import { z } from 'zod';
import type { EndpointRow } from '../../endpoints/endpoint.entity.js';
import { fieldProblem } from '../../http/refusals.js';

/**
 * The `oidc_*` fields of a webhook as an endpoint's OAuth client, and back. They are a set: whole, or none of it. A change
 * is made to the set there is, and what comes of it must be whole again; without a method nothing is left of it.
 *
 * Where Middesk's documents are silent: a change without `oidc_client_secret` keeps the one there is, unless the token
 * endpoint is another one.
 */
const TTL_SECONDS_MAX = 86_400;

export const oidcFields = {
  oidc_auth_method: z.enum(['private_key_jwt', 'client_secret']).nullable().optional(),
  oidc_client_id: z.string().min(1).max(512).nullable().optional(),
  oidc_client_secret: z.string().min(1).max(2_048).nullable().optional(),
  oidc_token_endpoint: z.string().min(1).max(2_048).nullable().optional(),
  oidc_access_token_ttl_seconds: z.number().int().min(1).max(TTL_SECONDS_MAX).nullable().optional(),
  oidc_scope: z.string().min(1).max(1_024).nullable().optional(),
  oidc_resource_uri: z.string().min(1).max(2_048).nullable().optional(),
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
 * The client the fields make together with those there are; null: none. Undefined: nothing about it changes, which must
 * be told apart, since a key that is given again is sealed again.
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
