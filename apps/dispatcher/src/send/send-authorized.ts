import {
  type EgressRequest,
  type EgressResult,
  type GuardedClient,
  scrub,
  scrubText,
  type TokenClient,
} from '@posthaste/egress';
import type { TokenAnswer, TokenCache } from './token-cache.js';

/** How the header is shown in what is kept of the request. */
export const AUTHORIZATION_SHOWN = { authorization: 'Bearer ***' };

export interface Sent {
  result: EgressResult;
  /** False when no token was to be had, and so nothing was sent. */
  isAuthorized: boolean;
}

/**
 * A request with an access token, fetched if need be; all of it, the token's fetching too, within the request's time.
 *
 * A 401 may mean that the token ended early: it is dropped, and the request sent once more with another one, in the
 * same attempt. A second 401, or a server that gives the same token again, is what the receiver has to say. A 403 is
 * about rights and not about tokens. What the receiver echoes of the tokens is taken out of what is kept.
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
    return { ...result, timings: { ...result.timings, totalMs } };
  };

  const first = await tokens.get(oauth, leftMs());
  if (first.kind === 'failed') return { result: whole(withoutToken(first)), isAuthorized: false };
  const result = await send(first.token);
  if (!isUnauthorized(result) || !tokens.drop(oauth, first.token)) {
    return { result: whole(scrubbed(result, [first.token])), isAuthorized: true };
  }
  const second = await tokens.get(oauth, leftMs());
  if (second.kind === 'failed') return { result: whole(withoutToken(second)), isAuthorized: true };
  const isSame = second.token === first.token;
  const again = isSame ? result : await send(second.token);
  if (isUnauthorized(again)) tokens.keep(oauth);
  return { result: whole(scrubbed(again, [first.token, second.token])), isAuthorized: true };
}

function isUnauthorized(result: EgressResult): boolean {
  return result.kind === 'response' && result.status === 401;
}

function withoutToken(answer: TokenAnswer & { kind: 'failed' }): EgressResult {
  return { ...answer, timings: { totalMs: 0 } };
}

function scrubbed(result: EgressResult, tokens: string[]): EgressResult {
  if (result.kind === 'failed') return result;
  // Inside a compressed body a token cannot be found, so none of it is kept.
  const isReadable = /^(identity)?$/i.test(String(result.headers['content-encoding'] ?? ''));
  const body = isReadable ? scrub(result.body, tokens) : Buffer.alloc(0);
  const headers = Object.fromEntries(
    Object.entries(result.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map((one) => scrubText(one, tokens)) : scrubText(value, tokens),
    ]),
  );
  return { ...result, headers, body, bodyTruncated: result.bodyTruncated || !isReadable };
}
