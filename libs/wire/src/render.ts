import type { WireProfile } from '@posthaste/contracts';
import type { Profile, Rendered, WireEndpoint, WireMessage } from './profile.js';
import { standard } from './profiles/standard.js';

const profiles: Record<WireProfile, Profile> = {
  standard,
  ada: standard,
  linkup: standard,
  middesk: standard,
};

/**
 * How a message looks on the wire to one endpoint, for one attempt.
 *
 * Promised: the body is the published bytes, the very same buffer; every attempt is signed anew, since its timestamp
 * is the attempt's; header names are lower-case, each once, and nothing a customer configures can replace ours. Not
 * promised: anything about the payload, which is never parsed. A profile is one file, a pure function of its arguments.
 *
 * This is the hot path of the dispatcher: what can be prepared per endpoint is (`customHeaders`, `signingKey`), and
 * what is left per attempt is one signature per live secret and one object.
 */
export function render(
  profile: WireProfile,
  message: WireMessage,
  endpoint: WireEndpoint,
  attempt: number,
  now: number,
): Rendered {
  return profiles[profile](message, endpoint, attempt, now);
}
