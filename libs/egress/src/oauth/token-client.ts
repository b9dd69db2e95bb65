import { createHash, type webcrypto } from 'node:crypto';
import type { OAuthClient } from '@posthaste/contracts';
import { importJWK, type JWK } from 'jose';
import {
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  modifyAssertion,
  PrivateKeyJwt,
} from 'oauth4webapi';

/** Who asks for a token, with the credential in the clear. It must not be logged. */
export interface TokenClient {
  /** The same for whoever would be given the same token; any change of configuration or credential changes it. */
  cacheKey: string;
  oauth: OAuthClient;
  /** The client secret, or the private key as a JWK's text. */
  credential: string;
}

/** Servers whose clock is a little behind ours would not take an assertion that begins now. */
const NOT_BEFORE_SKEW_SECONDS = 5;

export function tokenClient(tenant: string, oauth: OAuthClient, credential: string): TokenClient {
  const { tokenUrl, clientId, method, key, scope, resource, audience, assertionAudience } = oauth;
  const asked = [scope, resource, audience, assertionAudience, oauth.maxTokenTtlSeconds];
  const signing = [key?.public.kid, key?.public.alg];
  // Never across tenants. Within one, endpoints with the same client share a token, whatever their seals.
  const identity = JSON.stringify([tenant, tokenUrl, clientId, method, credential, ...signing, ...asked]);
  return { cacheKey: createHash('sha256').update(identity).digest('base64url'), oauth, credential };
}

/** How the client proves to be itself. */
export async function clientAuth({ oauth, credential }: TokenClient): Promise<ClientAuth> {
  switch (oauth.method) {
    case 'client_secret_basic':
      return ClientSecretBasic(credential);
    case 'client_secret_post':
      return ClientSecretPost(credential);
    case 'private_key_jwt':
      return assertion(oauth, credential);
  }
}

/** RFC 7523 with the restrictions of OpenID Connect Core section 9; a new `jti` each time. */
async function assertion(oauth: OAuthClient, privateJwk: string): Promise<ClientAuth> {
  if (oauth.key === null) throw new Error('private_key_jwt needs a key');
  const { alg, kid, x5t } = oauth.key.public;
  const key = (await importJWK(JSON.parse(privateJwk) as JWK, alg)) as webcrypto.CryptoKey;
  return PrivateKeyJwt(
    { key, kid },
    {
      [modifyAssertion]: (header, payload) => {
        Object.assign(header, { alg, typ: 'JWT', ...(x5t === undefined ? {} : { x5t }) });
        payload['nbf'] = Number(payload['iat']) - NOT_BEFORE_SKEW_SECONDS;
      },
    },
  );
}

/** One string, as the receiver's server expects it: an assertion for several audiences could be used at another one. */
export function assertionAudience({ assertionAudience: audience, tokenUrl }: OAuthClient): string {
  return audience === null || audience === 'token_endpoint' ? tokenUrl : audience;
}
