import { randomBytes } from 'node:crypto';
import type { OAuthClient, OAuthInput, OAuthView, PatchEndpoint } from '@posthaste/contracts';
import { checkUrl, type EgressPolicy } from '@posthaste/egress';
import { mergePatch } from '../http/merge-patch.js';
import { fieldProblem } from '../http/refusals.js';
import { generatedKey, importedKey } from './oauth-key.js';
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
  { egress, seal }: { egress: EgressPolicy; seal: SealCredential },
): Promise<OAuthClient | null> {
  if (input === null) return null;
  const tokenUrl =
    input.token_url === current?.tokenUrl ? current.tokenUrl : callable(input.token_url, egress);
  const kept = current?.tokenUrl === tokenUrl ? current : null;
  return {
    tokenUrl,
    clientId: input.client_id,
    method: input.method,
    ...(await credentialOf(input, kept, seal)),
    scope: input.scope,
    resource: input.resource,
    audience: input.audience,
    assertionAudience: input.assertion_audience,
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

/** The merge patch applied; what only the former method or the former key had goes with it. */
export function patchedOAuth(
  current: OAuthInput | null,
  patch: NonNullable<PatchEndpoint['oauth']>,
): Record<string, unknown> {
  const { alg, assertion_audience, ...rest } = current ?? {};
  const method = patch.method === null ? 'client_secret_basic' : (patch.method ?? current?.method);
  const stays = method === 'private_key_jwt' && { assertion_audience, ...(patch.private_key ? {} : { alg }) };
  return mergePatch<unknown>({ ...rest, ...stays }, patch);
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

function callable(url: string, egress: EgressPolicy): string {
  const verdict = checkUrl(url, egress);
  if (verdict.ok) return verdict.href;
  throw fieldProblem([{ pointer: '/oauth/token_url', code: verdict.rule, message: verdict.message }]);
}

async function credentialOf(
  input: OAuthInput,
  kept: OAuthClient | null,
  seal: SealCredential,
): Promise<Pick<OAuthClient, 'credential' | 'key'>> {
  if (input.method === 'private_key_jwt') {
    const isSameAlg = input.alg === null || input.alg === kept?.key?.public.alg;
    if (kept?.key && input.private_key === undefined && isSameAlg) {
      return { credential: kept.credential, key: kept.key };
    }
    const key =
      input.private_key === undefined
        ? await generatedKey(input.alg ?? undefined)
        : await importedKey(input.private_key, input.alg);
    // The same key set for the next key: the token server knows its URL.
    const jwks = kept?.key?.jwks ?? randomBytes(24).toString('base64url');
    return { credential: seal('oauth', key.private), key: { public: key.public, jwks } };
  }
  if (input.client_secret !== undefined) return { credential: seal('oauth', input.client_secret), key: null };
  if (kept && kept.key === null) return { credential: kept.credential, key: null };
  const message = 'is required, also again when token_url changes';
  throw fieldProblem([{ pointer: '/oauth/client_secret', code: 'required', message }]);
}
