import type { WireProfile } from '@posthaste/contracts';
import type { Profile, Rendered, WireEndpoint, WireMessage } from './profile.js';
import { ada } from './profiles/ada.js';
import { linkup } from './profiles/linkup.js';
import { middesk } from './profiles/middesk.js';
import { standard } from './profiles/standard.js';

const profiles: Record<WireProfile, Profile> = { standard, ada, linkup, middesk };

/**
 * How a message looks on the wire to one endpoint, for one attempt.
 *
 * Promised: the body of standard is the published bytes, the very same buffer, never parsed; that of the others is the
 * payload as published when it is a whole event of that product already, and else has the payload's bytes in it. A
 * message has the same body at each attempt and is signed anew, since a signature's timestamp is the attempt's; header
 * names are lower-case, each once, and nothing a customer configures can replace ours. Not promised: that a payload is
 * what the product's receivers expect. A profile is one file, a pure function of its arguments.
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
