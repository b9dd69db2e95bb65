import {
  createHash,
  createPrivateKey,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import { type AssertionAlgorithm, type OAuthClient, type OAuthInput, PublicJwk } from '@posthaste/contracts';
import { calculateJwkThumbprint } from 'jose';
import { fieldProblem } from '../http/refusals.js';

/** The key client assertions are signed with. */
export interface AssertionKey {
  /** A JWK's text; to be sealed. */
  private: string;
  public: PublicJwk;
}

export type KeyOfClient = NonNullable<OAuthClient['key']>;
type PreviousKey = KeyOfClient['previous'];

/** What each kind of key can sign with, the default first. */
const algorithms: Record<string, AssertionAlgorithm[]> = {
  ec: ['ES256'],
  rsa: ['RS256', 'PS256'],
  ed25519: ['EdDSA'],
};
const RSA_BITS_MIN = 2_048;
const KID = /^[\x21-\x7e]{1,128}$/;
const CHAIN_MAX = 10;

/** How long token servers may use a key set they have read: what its `cache-control` says. */
export const JWKS_MAX_AGE_MS = 300_000;
/** A change takes this long to be everywhere. */
const SPREAD_MS = 30_000;

const generate = promisify(generateKeyPair);

/** A new key; ES256 unless another algorithm is asked for. */
export async function generatedKey(alg: AssertionAlgorithm = 'ES256'): Promise<AssertionKey> {
  switch (alg) {
    case 'ES256':
      return assertionKey((await generate('ec', { namedCurve: 'P-256' })).privateKey, alg);
    case 'EdDSA':
      return assertionKey((await generate('ed25519')).privateKey, alg);
    case 'RS256':
    case 'PS256':
      return assertionKey((await generate('rsa', { modulusLength: RSA_BITS_MIN })).privateKey, alg);
  }
}

/**
 * What comes before a key of ours that replaces another one: that one signs on until every token server must have read
 * the new one, and stays published until the last assertion it signed was looked at.
 */
export function previousKey({ credential, key }: OAuthClient, nowMs: number): PreviousKey | undefined {
  if (key === null) return undefined;
  // Changed twice in a row: token servers know the one that still signs.
  const isSpreading = key.previous !== undefined && key.previous.signsUntil > nowMs;
  const signing = isSpreading ? key.previous : { public: key.public, credential };
  return signing && { ...signing, signsUntil: nowMs + JWKS_MAX_AGE_MS + SPREAD_MS };
}

/** The key set as token servers see it, the newest key first. */
export function keySet({ public: newest, previous }: Omit<KeyOfClient, 'jwks'>, nowMs: number): PublicJwk[] {
  if (!previous || nowMs >= previous.signsUntil + JWKS_MAX_AGE_MS) return [newest];
  return [newest, previous.public];
}

/** The caller's own key, or a Problem that says what is wrong with it; nothing of it is repeated there. */
export async function importedKey(
  given: NonNullable<OAuthInput['private_key']>,
  alg: AssertionAlgorithm | null,
): Promise<AssertionKey> {
  const { key, kid, x5c } = read(given);
  const fitting = algorithms[key.asymmetricKeyType ?? ''] ?? [];
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  const isWrongCurve = key.asymmetricKeyType === 'ec' && namedCurve !== 'prime256v1';
  const [usual] = fitting;
  if (usual === undefined || isWrongCurve) {
    throw refusal('wrong_key_type', 'must be an EC key on P-256, an RSA or an Ed25519 key');
  }
  if (key.asymmetricKeyType === 'rsa' && modulusLength < RSA_BITS_MIN) {
    throw refusal('weak_key', `must have at least ${RSA_BITS_MIN} bits`);
  }
  if (alg !== null && !fitting.includes(alg)) {
    const message = `cannot be used with this key; ${fitting.join(' or ')} can`;
    throw fieldProblem([{ pointer: '/oauth/alg', code: 'wrong_key_type', message }]);
  }
  return assertionKey(key, alg ?? usual, { kid, ...certified(key, x5c) });
}

interface ReadKey {
  key: KeyObject;
  kid?: string | undefined;
  x5c?: unknown;
}

function read(given: NonNullable<OAuthInput['private_key']>): ReadKey {
  try {
    const isText = typeof given === 'string';
    if (isText && !given.trimStart().startsWith('{')) return { key: createPrivateKey(given) };
    const jwk = (isText ? JSON.parse(given) : given) as JsonWebKey;
    const kid = typeof jwk['kid'] === 'string' && KID.test(jwk['kid']) ? jwk['kid'] : undefined;
    return { key: createPrivateKey({ key: jwk, format: 'jwk' }), kid, x5c: jwk['x5c'] };
  } catch {
    throw refusal('bad_key', 'must be a private key, as PEM without a passphrase or as a JWK');
  }
}

/** What names a key by its certificate; nothing when it has none. */
function certified(key: KeyObject, x5c: unknown): Pick<PublicJwk, 'x5c' | 'x5t'> {
  if (x5c === undefined) return {};
  try {
    const chain = (x5c as string[]).map((one) => new X509Certificate(Buffer.from(one, 'base64')).raw);
    const [leaf] = chain;
    if (leaf && chain.length <= CHAIN_MAX && new X509Certificate(leaf).checkPrivateKey(key)) {
      const x5t = createHash('sha1').update(leaf).digest('base64url');
      return { x5c: chain.map((der) => der.toString('base64')), x5t };
    }
  } catch {
    // As for another key's.
  }
  throw refusal('bad_certificate', 'must have in `x5c` its own certificate, and at most 10');
}

/** The thumbprint of RFC 7638 names the key, unless it came with a name the token server may know it by. */
async function assertionKey(
  key: KeyObject,
  alg: AssertionAlgorithm,
  { kid, ...named }: Partial<Pick<PublicJwk, 'kid' | 'x5c' | 'x5t'>> = {},
): Promise<AssertionKey> {
  const jwk = key.export({ format: 'jwk' });
  const name = kid ?? (await calculateJwkThumbprint(jwk));
  // The schema has no private members, and so lets none through.
  const shown = PublicJwk.parse({ ...jwk, ...named, kid: name, alg, use: 'sig' });
  return { private: JSON.stringify(jwk), public: shown };
}

function refusal(code: string, message: string) {
  return fieldProblem([{ pointer: '/oauth/private_key', code, message }]);
}
