import {
  createPrivateKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import type { SignatureVersion } from '@posthaste/contracts';

/**
 * Signing secrets as customers hold them, and as keys ready for use.
 *
 *   v1    `whsec_` and base64 of 24 to 75 bytes, or base64 alone: the key of an HMAC-SHA256
 *   v1a   `whsk_` and base64 of 64 bytes: an Ed25519 seed (RFC 8032) and its public key, 32 bytes each
 *
 * The receiver of v1 holds the same secret; that of v1a only `whpk_` and base64 of the public key. A `whsk_` whose
 * halves do not belong together is refused: its owner would hand out a public key under which nothing verifies.
 */
export interface SigningKey {
  version: SignatureVersion;
  key: KeyObject;
}

/** Ready for use; live until `expiresAt` (milliseconds since 1970, null = no end). */
export interface SigningSecret extends SigningKey {
  expiresAt: number | null;
}

const PREFIX = { v1: 'whsec_', v1a: 'whsk_', public: 'whpk_' } as const;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** The specification asks for 24 to 64 bytes; secrets brought along from Svix may have 75. */
const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 75;
/** What the specification recommends at least: 256 bits. */
const NEW_KEY_BYTES = 32;
const ED25519_BYTES = 32;

/** The version a secret is for, by its prefix. */
export function versionOf(secret: string): SignatureVersion {
  return secret.startsWith(PREFIX.v1a) ? 'v1a' : 'v1';
}

/**
 * The key in a secret; null when it is not one. Done once per secret and kept: decoding and key set-up would cost a
 * tenth of every attempt.
 */
export function signingKey(secret: string): SigningKey | null {
  const version = versionOf(secret);
  const encoded = secret.startsWith(PREFIX[version]) ? secret.slice(PREFIX[version].length) : secret;
  if (!BASE64.test(encoded)) return null;
  const bytes = Buffer.from(encoded, 'base64');
  const key = version === 'v1' ? hmacKey(bytes) : ed25519Key(bytes);
  return key && { version, key };
}

/** A new random secret, as a customer is to hold it. */
export function newSigningSecret(version: SignatureVersion): string {
  if (version === 'v1') return PREFIX.v1 + randomBytes(NEW_KEY_BYTES).toString('base64');
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const halves = [d, x].map((half) => Buffer.from(half ?? '', 'base64url'));
  return PREFIX.v1a + Buffer.concat(halves).toString('base64');
}

/** What the receiver of a `whsk_` secret verifies with, `whpk_...`; null for a v1 secret, which has no public half. */
export function publicKeyOf(secret: string): string | null {
  const signing = signingKey(secret);
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
