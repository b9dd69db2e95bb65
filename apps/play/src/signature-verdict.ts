import { Webhook, WebhookVerificationError } from 'standardwebhooks';

export type SignatureVerdict = { valid: true } | { valid: false; reason: string };

const TOLERANCE_SECONDS = 300;

/**
 * What a receiver that follows Standard Webhooks would say of a request, in words that tell what to mend. The check
 * itself is the reference library's, on purpose: play must not share a mistake with the sender it tests.
 *
 * @param headers lower-case names
 */
export function signatureVerdict(
  secret: string | null,
  headers: ReadonlyMap<string, string>,
  body: Buffer,
  bodyText: string | null,
): SignatureVerdict {
  const refused = (reason: string): SignatureVerdict => ({ valid: false, reason });
  for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
    if (!headers.get(name)) return refused(`missing header ${name}`);
  }
  if (secret === null) return refused("secret unknown: give play the endpoint's signing secret");
  const sentAt = Number(headers.get('webhook-timestamp'));
  if (!Number.isInteger(sentAt)) return refused('webhook-timestamp is not a number of seconds');
  const ageSeconds = Math.floor(Date.now() / 1000) - sentAt;
  if (Math.abs(ageSeconds) > TOLERANCE_SECONDS) {
    const distance = ageSeconds > 0 ? `${ageSeconds} s in the past` : `${-ageSeconds} s in the future`;
    return refused(`timestamp out of tolerance: ${distance}, ${TOLERANCE_SECONDS} s are allowed`);
  }
  if (bodyText === null)
    return refused(`the body of ${body.length} bytes is not UTF-8 text, which the verifier cannot check`);
  try {
    new Webhook(secret).verify(bodyText, Object.fromEntries(headers), { jsonParse: false });
    return { valid: true };
  } catch (error) {
    if (!(error instanceof WebhookVerificationError))
      return refused('the secret given to play cannot be used');
    const versions = (headers.get('webhook-signature') ?? '').split(' ').map((part) => part.split(',')[0]);
    return versions.includes('v1')
      ? refused('no matching signature: another secret, or the body was changed on the way')
      : refused(`no v1 signature, only ${versions.join(', ')}`);
  }
}
