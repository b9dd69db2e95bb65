import { positionHeader, USER_AGENT } from '../headers.js';
import type { Profile } from '../profile.js';
import { signatures } from '../signature.js';

/** Standard Webhooks 1.0.0, signatures over `{id}.{timestamp}.{body}`, one per live secret of either version. */
export const standard: Profile = (message, endpoint, _attempt, now) => {
  const timestamp = Math.floor(now / 1000);
  return {
    headers: {
      ...endpoint.headers,
      'content-type': message.contentType,
      'user-agent': USER_AGENT,
      'webhook-id': message.id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatures(endpoint.secrets, message.id, timestamp, message.payload, now),
      ...positionHeader(message.position),
    },
    body: message.payload,
  };
};
