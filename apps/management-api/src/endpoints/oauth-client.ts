import { randomBytes } from 'node:crypto';
import type { OAuthClient, OAuthInput, OAuthView, PatchEndpoint } from '@posthaste/contracts';
import { calledAs, type EgressPolicy } from '@posthaste/egress';
import { mergePatch } from '../http/merge-patch.js';
import { fieldProblem } from '../http/refusals.js';
import { callable } from '../http/validate.js';
import { generatedKey, importedKey, previousKey } from './oauth-key.js';
import type { SealCredential } from './seal-credential.js';

/**
 * An endpoint's OAuth client: as asked for, as stored, as shown.
 *
 * A credential belongs to the token URL it was given for. Who changes the URL must give the secret again, and gets
 * another key and key set if we made the key: or whoever may change an endpoint could have its secret sent, or its
 * assertions, to a server of their own.
 */
export async function storedOAuth(
  input: OAuthInput | null,
  current: OAuthClient | null,
  { egress, seal, nowMs }: { egress: EgressPolicy; seal: SealCredential; nowMs: number },
): Promise<OAuthClient | null> {
  if (input === null) return null;
  const tokenUrl =
    input.token_url === current?.tokenUrl
      ? current.tokenUrl
      : callable(input.token_url, '/oauth/token_url', egress);
  const kept = current && calledAs(current.tokenUrl) === calledAs(tokenUrl) ? current : null;
  return {
    tokenUrl,
    clientId: input.client_id,
    method: input.method,
    ...(await credentialOf(input, kept, seal, nowMs)),
    scope: input.scope,
    resource: input.resource,
    audience: input.audience,
    assertionAudience: input.assertion_audience,
    ...(input.max_token_ttl_seconds === null ? {} : { maxTokenTtlSeconds: input.max_token_ttl_seconds }),
  };
}

export function oauthInput(oauth: OAuthClient): OAuthInput {
  return {
    token_url: oauth.tokenUrl,
    client_id: oauth.clientId,
    method: oauth.method,
    alg: oauth.key?.public.alg ?? null,
    scope: oauth.scope,
    resource: oauth.resource,
    audience: oauth.audience,
    assertion_audience: oauth.assertionAudience,
    max_token_ttl_seconds: oauth.maxTokenTtlSeconds ?? null,
  };
}

export function oauthView(oauth: OAuthClient): OAuthView {
  const { key } = oauth;
  return {
    ...oauthInput(oauth),
    alg: key?.public.alg ?? null,
    kid: key?.public.kid ?? null,
    jwks_url: key && `/.well-known/jwks/${key.jwks}.json`,
  };
}

/** For what is kept for ever: which credentials there were, and nothing that opens. */
export function withoutSeals({ credential, key, ...rest }: OAuthClient): object {
  const { previous, ...current } = key ?? {};
  const former = previous && { public: previous.public, signsUntil: previous.signsUntil };
  return { ...rest, credential: { id: credential.id }, key: key && { ...current, previous: former } };
}

/** The merge patch applied; what only the former method or the former key had goes with it. */
export function patchedOAuth(
  current: OAuthInput | null,
  patch: NonNullable<PatchEndpoint['oauth']>,
): Record<string, unknown> {
  const { alg, assertion_audience, ...rest } = current ?? {};
  const method = patch.method === null ? 'client_secret_basic' : (patch.method ?? current?.method);
  const stays = method === 'private_key_jwt' && { assertion_audience, ...(patch.private_key ? {} : { alg }) };
  const merged = mergePatch<unknown>({ ...rest, ...stays }, patch);
  // Here null is a wish of its own: a new key of ours.
  return patch.private_key === null ? { ...merged, private_key: null } : merged;
}

/** Two that set one header: whichever won, somebody would be surprised. */
export function refuseTwoAuthorizations(input: {
  oauth: OAuthInput | null;
  headers: Record<string, string>;
}): void {
  const name = Object.keys(input.headers).find((one) => one.toLowerCase() === 'authorization');
  if (input.oauth === null || name === undefined) return;
  throw fieldProblem([{ pointer: `/headers/${name}`, code: 'not_allowed', message: 'is set by `oauth`' }]);
}

async function credentialOf(
  input: OAuthInput,
  kept: OAuthClient | null,
  seal: SealCredential,
  nowMs: number,
): Promise<Pick<OAuthClient, 'credential' | 'key'>> {
  if (input.method === 'private_key_jwt') return signingKeyOf(input, kept, seal, nowMs);
  if (input.client_secret !== undefined) return { credential: seal('oauth', input.client_secret), key: null };
  if (kept && kept.key === null) return { credential: kept.credential, key: null };
  const message = 'is required, also again when token_url changes';
  throw fieldProblem([{ pointer: '/oauth/client_secret', code: 'required', message }]);
}

async function signingKeyOf(
  { private_key: given, alg }: OAuthInput,
  kept: OAuthClient | null,
  seal: SealCredential,
  nowMs: number,
): Promise<Pick<OAuthClient, 'credential' | 'key'>> {
  const isSameAlg = alg === null || alg === kept?.key?.public.alg;
  if (kept?.key && given === undefined && isSameAlg) return { credential: kept.credential, key: kept.key };
  // The same key set for the next key: the token server knows its URL.
  const jwks = kept?.key?.jwks ?? randomBytes(24).toString('base64url');
  if (given) {
    // At once: who brings a key has told the token server, or wants the old one gone.
    const key = await importedKey(given, alg);
    return { credential: seal('oauth', key.private), key: { public: key.public, jwks } };
  }
  const key = await generatedKey(alg ?? undefined);
  const previous = kept ? previousKey(kept, nowMs) : undefined;
  return {
    credential: seal('oauth', key.private),
    key: { public: key.public, jwks, ...(previous ? { previous } : {}) },
  };
}
