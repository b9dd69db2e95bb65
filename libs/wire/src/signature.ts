import { createHmac, sign } from 'node:crypto';
import type { SigningSecret } from './signing-key.js';

/** The HMAC-SHA256 in hex of prefix and body, by the newest live text; null when none is live. */
export function textSignature(
  secrets: readonly SigningSecret[],
  prefix: string,
  body: Buffer,
  now: number,
): string | null {
  const live = secrets.find(
    ({ version, expiresAt }) => version === 'text' && (expiresAt === null || expiresAt > now),
  );
  return live ? createHmac('sha256', live.key).update(prefix).update(body).digest('hex') : null;
}

/**
 * The value of `webhook-signature`: one `version,base64` for each live secret, v1 and v1a alike, space-separated, in
 * the order given (newest first); a text signs otherwise, and not here. Throws when no secret is live.
 */
export function signatures(
  secrets: readonly SigningSecret[],
  id: string,
  timestamp: number,
  body: Buffer,
  now: number,
): string {
  const prefix = `${id}.${timestamp}.`;
  let list = '';
  // Ed25519 takes the content in one piece; made at most once, and never for endpoints that only use v1.
  let content: Buffer | undefined;
  for (const { version, key, expiresAt } of secrets) {
    if (expiresAt !== null && expiresAt <= now) continue;
    const separator = list === '' ? '' : ' ';
    switch (version) {
      case 'v1':
        list += `${separator}v1,${createHmac('sha256', key).update(prefix).update(body).digest('base64')}`;
        break;
      case 'v1a':
        content ??= Buffer.concat([Buffer.from(prefix), body]);
        list += `${separator}v1a,${sign(null, content, key).toString('base64')}`;
        break;
      case 'text':
        break;
    }
  }
  // Sending unsigned would teach receivers to accept it.
  if (list === '') throw new Error('no live signing secret');
  return list;
}
