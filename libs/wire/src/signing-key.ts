import {
  createPrivateKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import type { SecretKind, SignatureVersion, WireProfile } from '@posthaste/contracts';

/**
 * Signing secrets as customers hold them, and as keys ready for use.
 *
 *   v1    `whsec_` and base64 of 24 to 75 bytes, or base64 alone: the key of an HMAC-SHA256
 *   v1a   `whsk_` and base64 of 64 bytes: an Ed25519 seed (RFC 8032) and its public key, 32 bytes each
 *   text  any visible characters: they are the key of an HMAC-SHA256 themselves, whatever they look like
 *
 * The receiver of v1 holds the same secret; that of v1a only `whpk_` and base64 of the public key. A `whsk_` whose
 * halves do not belong together is refused: its owner would hand out a public key under which nothing verifies.
 */
export interface SigningKey {
  version: SecretKind;
  key: KeyObject;
}

/** Ready for use; live until `expiresAt` (milliseconds since 1970, null = no end). */
export interface SigningSecret extends SigningKey {
  expiresAt: number | null;
}

/** ASCII, so that it is the same bytes for everybody, whatever encoding their language has. */
const VISIBLE = /^[\x21-\x7e]+$/;
const PREFIX = { v1: 'whsec_', v1a: 'whsk_', public: 'whpk_' } as const;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** The specification asks for 24 to 64 bytes; secrets brought along from Svix may have 75. */
const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 75;
/** What the specification recommends at least: 256 bits. */
const NEW_KEY_BYTES = 32;
const ED25519_BYTES = 32;

/** What endpoints of a profile are signed with; the first is what one gets that says nothing. */
export function secretKindsOf(profile: WireProfile): readonly SecretKind[] {
  switch (profile) {
    case 'standard':
    case 'ada':
      return ['v1', 'v1a'];
    case 'linkup':
    case 'middesk':
      return ['text'];
  }
}

/** The version a secret of Standard Webhooks is for, by its prefix. */
export function versionOf(secret: string): SignatureVersion {
  return secret.startsWith(PREFIX.v1a) ? 'v1a' : 'v1';
}

/**
 * The key in a secret; null when it is not one. Done once per secret and kept: decoding and key set-up would cost a
 * tenth of every attempt.
 *
 * @param kind a text must be said to be one: it may look like any other secret
 */
export function signingKey(secret: string, kind?: SecretKind): SigningKey | null {
  if (kind === 'text') {
    return VISIBLE.test(secret) ? { version: 'text', key: createSecretKey(Buffer.from(secret)) } : null;
  }
  const version = versionOf(secret);
  const encoded = secret.startsWith(PREFIX[version]) ? secret.slice(PREFIX[version].length) : secret;
  if (!BASE64.test(encoded)) return null;
  const bytes = Buffer.from(encoded, 'base64');
  const key = version === 'v1' ? hmacKey(bytes) : ed25519Key(bytes);
  return key && { version, key };
}

/** A new random secret, as a customer is to hold it; a text is 64 hex digits. */
export function newSigningSecret(kind: SecretKind): string {
  if (kind === 'text') return randomBytes(NEW_KEY_BYTES).toString('hex');
  if (kind === 'v1') return PREFIX.v1 + randomBytes(NEW_KEY_BYTES).toString('base64');
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const halves = [d, x].map((half) => Buffer.from(half ?? '', 'base64url'));
  return PREFIX.v1a + Buffer.concat(halves).toString('base64');
}

/** What the receiver of a `whsk_` secret verifies with, `whpk_...`; null for the others, which have no public half. */
export function publicKeyOf(secret: string, kind?: SecretKind): string | null {
  const signing = signingKey(secret, kind);
  return signing?.version === 'v1a' ? PREFIX.public + publicBytes(signing.key).toString('base64') : null;
}

function hmacKey(bytes: Buffer): KeyObject | null {
  if (bytes.length < MIN_KEY_BYTES || bytes.length > MAX_KEY_BYTES) return null;
  return createSecretKey(bytes);
}

function ed25519Key(bytes: Buffer): KeyObject | null {
  if (bytes.length !== 2 * ED25519_BYTES) return null;
  const [d, x] = [bytes.subarray(0, ED25519_BYTES), bytes.subarray(ED25519_BYTES)];
  const jwk = { kty: 'OKP', crv: 'Ed25519', d: d.toString('base64url'), x: x.toString('base64url') };
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  return publicBytes(key).equals(x) ? key : null;
}

/** Node derives it from the seed, whatever public half came with it. */
function publicBytes(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
}
