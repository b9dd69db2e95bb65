import type { EgressRequest, EgressResult, GuardedClient, TokenClient } from '@posthaste/egress';
import type { TokenAnswer, TokenCache } from './token-cache.js';

export interface Sent {
  result: EgressResult;
  /** Those that went out with the request; whatever is kept must not show them. None was to be had: nothing was sent. */
  tokens: string[];
}

/**
 * A request with an access token, fetched if need be; all of it, the token's fetching too, within the request's time.
 *
 * A 401 may mean that the token ended early: it is dropped, and the request sent once more with another one, in the
 * same attempt. A second 401, or a server that gives the same token again, is what the receiver has to say. A 403 is
 * about rights and not about tokens.
 */
export async function sendAuthorized(
  { client, tokens }: { client: GuardedClient; tokens: TokenCache },
  oauth: TokenClient,
  request: EgressRequest,
): Promise<Sent> {
  const startedAt = performance.now();
  const leftMs = (): number => Math.max(1, request.timeoutMs - (performance.now() - startedAt));
  const send = (token: string): Promise<EgressResult> => {
    const headers = { ...request.headers, authorization: `Bearer ${token}` };
    return client.send({ ...request, headers, timeoutMs: leftMs() });
  };
  const whole = (result: EgressResult): EgressResult => {
    const totalMs = Math.round((performance.now() - startedAt) * 10) / 10;
    return searchable({ ...result, timings: { ...result.timings, totalMs } });
  };

  const first = await tokens.get(oauth, leftMs());
  if (first.kind === 'failed') return { result: whole(withoutToken(first)), tokens: [] };
  const result = await send(first.token);
  if (!isUnauthorized(result) || !tokens.drop(oauth, first.token)) {
    return { result: whole(result), tokens: [first.token] };
  }
  const second = await tokens.get(oauth, leftMs());
  if (second.kind === 'failed') return { result: whole(withoutToken(second)), tokens: [first.token] };
  const isSame = second.token === first.token;
  const again = isSame ? result : await send(second.token);
  if (isUnauthorized(again)) tokens.keep(oauth);
  return { result: whole(again), tokens: [first.token, second.token] };
}

function isUnauthorized(result: EgressResult): boolean {
  return result.kind === 'response' && result.status === 401;
}

function withoutToken(answer: TokenAnswer & { kind: 'failed' }): EgressResult {
  return { ...answer, timings: { totalMs: 0 } };
}

/** Inside a compressed body a token cannot be found, so none of it is kept. */
function searchable(result: EgressResult): EgressResult {
  if (result.kind === 'failed') return result;
  const encoding = String(result.headers['content-encoding'] ?? 'identity');
  return encoding === 'identity' ? result : { ...result, body: Buffer.alloc(0), bodyTruncated: true };
}
