import { USER_AGENT } from '../headers.js';
import type { Profile } from '../profile.js';
import { signatureV1 } from '../signature.js';

/** Standard Webhooks 1.0.0, symmetric: `v1` signatures over `{id}.{timestamp}.{body}`, one per live secret. */
export const standard: Profile = (message, endpoint, _attempt, now) => {
  const timestamp = Math.floor(now / 1000);
  return {
    headers: {
      ...endpoint.headers,
      'content-type': message.contentType,
      'user-agent': USER_AGENT,
      'webhook-id': message.id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatureV1(endpoint.secrets, message.id, timestamp, message.payload, now),
    },
    body: message.payload,
  };
};
