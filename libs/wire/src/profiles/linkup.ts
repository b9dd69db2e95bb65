import { USER_AGENT } from '../headers.js';
import { embeddable, isObject } from '../json-bytes.js';
import type { Profile, WireMessage } from '../profile.js';
import { textSignature } from '../signature.js';

/**
 * LinkUp's webhooks: the body is `{account_id, account_name, event, timestamp}`, signed over `{timestamp}.{body}` when
 * the endpoint has a secret. Only the answer 200 acknowledges (`isAcknowledged`).
 *
 * LinkUp has no id of a message. Ours goes along as `webhook-id`: without it, nobody could tell a retry from the same
 * thing said twice.
 */
export const linkup: Profile = (message, endpoint, _attempt, now) => {
  const body = linkupEvent(message);
  const timestamp = String(Math.floor(now / 1000));
  const signature = textSignature(endpoint.secrets, `${timestamp}.`, body, now);
  return {
    headers: {
      ...endpoint.headers,
      'content-type': body === message.payload ? message.contentType : 'application/json',
      'user-agent': USER_AGENT,
      'webhook-id': message.id,
      ...(signature !== null && {
        'x-linkup-timestamp': timestamp,
        'x-linkup-signature': `v1=${signature}`,
      }),
    },
    body,
  };
};

/**
 * A message as LinkUp's receivers and feeds see it: the payload itself when it is a whole event already (an object with
 * `account_id`, `event` and `timestamp`), else an event around it. The same for the same message, whenever it is asked.
 */
export function linkupEvent({
  payload,
  account,
  subject,
  at,
}: Pick<WireMessage, 'payload' | 'account' | 'subject' | 'at'>): Buffer {
  const { bytes, value } = embeddable(payload);
  if (isObject(value) && 'account_id' in value && 'event' in value && 'timestamp' in value) return payload;
  const id = JSON.stringify(subject?.uid ?? account);
  const name = JSON.stringify(subject?.name ?? '');
  // As in the vendor's documents, which show no fraction where there is none.
  const timestamp = new Date(at).toISOString().replace('.000Z', 'Z');
  return Buffer.concat([
    Buffer.from(`{"account_id":${id},"account_name":${name},"event":`),
    bytes,
    Buffer.from(`,"timestamp":"${timestamp}"}`),
  ]);
}
