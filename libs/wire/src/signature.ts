import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

/** A signing secret ready for use; live until `expiresAt` (milliseconds since 1970, null = no end). */
export interface SigningSecret {
  key: KeyObject;
  expiresAt: number | null;
}

const PREFIX = 'whsec_';
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** The specification asks for 24 to 64 bytes; secrets brought along from Svix may have 75. */
const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 75;

/**
 * The key in a secret as customers hold it: `whsec_` and base64, or base64 alone. Null when it is not one. Done once
 * per secret and kept: decoding and key set-up would cost a tenth of every attempt.
 */
export function signingKey(secret: string): KeyObject | null {
  const encoded = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
  if (!BASE64.test(encoded)) return null;
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.length < MIN_KEY_BYTES || bytes.length > MAX_KEY_BYTES) return null;
  return createSecretKey(bytes);
}

/** The value of `webhook-signature`: space-separated, newest key first. Throws when no secret is live. */
export function signatureV1(
  secrets: readonly SigningSecret[],
  id: string,
  timestamp: number,
  body: Buffer,
  now: number,
): string {
  const prefix = `${id}.${timestamp}.`;
  let signatures = '';
  for (const { key, expiresAt } of secrets) {
    if (expiresAt !== null && expiresAt <= now) continue;
    const signature = createHmac('sha256', key).update(prefix).update(body).digest('base64');
    signatures += signatures === '' ? `v1,${signature}` : ` v1,${signature}`;
  }
  // Sending unsigned would teach receivers to accept it.
  if (signatures === '') throw new Error('no live signing secret');
  return signatures;
}
