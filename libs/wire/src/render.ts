import type { WireProfile } from '@posthaste/contracts';
import { standard } from './profiles/standard.js';
import type { SigningSecret } from './signature.js';

/**
 * How a message looks on the wire to one endpoint, for one attempt.
 *
 * Promised: the body is the published bytes, the very same buffer; every attempt is signed anew, since its timestamp
 * is the attempt's; header names are lower-case, each once, and nothing a customer configures can replace ours. Not
 * promised: anything about the payload, which is never parsed. A profile is one file, a pure function of its arguments.
 *
 * This is the hot path of the dispatcher: what can be prepared per endpoint is (`customHeaders`, `signingKey`), and
 * what is left per attempt is one HMAC per live secret and one object.
 */
export interface WireMessage {
  id: string;
  contentType: string;
  payload: Buffer;
}

export interface WireEndpoint {
  /** As `customHeaders` made them. */
  headers: Readonly<Record<string, string>>;
  /** Newest first. At least one must be live. */
  secrets: readonly SigningSecret[];
}

export interface Rendered {
  headers: Record<string, string>;
  body: Buffer;
}

/** @param now milliseconds since 1970, the start of the attempt */
export type Profile = (
  message: WireMessage,
  endpoint: WireEndpoint,
  attempt: number,
  now: number,
) => Rendered;

const profiles: Record<WireProfile, Profile> = { standard };

export function render(
  profile: WireProfile,
  message: WireMessage,
  endpoint: WireEndpoint,
  attempt: number,
  now: number,
): Rendered {
  return profiles[profile](message, endpoint, attempt, now);
}
