import { type AttemptErrorClass, attemptErrors } from '@posthaste/contracts';
import {
  allowInsecureRequests,
  type AuthorizationServer,
  type Client,
  clientCredentialsGrantRequest,
  customFetch,
  processClientCredentialsResponse,
} from 'oauth4webapi';
import type { EgressResult } from '../egress-result.js';
import type { GuardedClient } from '../guarded-client.js';
import { assertionAudience, clientAuth, type TokenClient } from './token-client.js';

/**
 * One request to the token endpoint of a receiver (RFC 6749 section 4.4), through the guarded client: the URL is
 * strangers' input like any other. The library makes the request and reads a good answer; what it must not decide is
 * decided here: which failure is which, and that a token is a token before it becomes a header.
 *
 * Never rejects. Nothing of the answer but the OAuth error code gets into a failure: servers echo what they were sent.
 * No redirect is followed, nothing is tried twice, nothing is cached.
 */
export type TokenResult =
  | { kind: 'token'; token: string; expiresInSeconds: number | undefined; grantedScope: string | undefined }
  | TokenFailure;

export interface TokenFailure {
  kind: 'failed';
  class: Extract<AttemptErrorClass, `auth_token_${string}` | 'internal'>;
  message: string;
  /** The `Retry-After` of the answer, as it came. */
  retryAfter?: string | string[] | undefined;
}

const ANSWER_BYTES = 64 * 1024;
const TOKEN_CHARS = 16 * 1024;
/** RFC 6750's b68token: anything else would break or end the header. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
/** Error codes are lower-case words; a server may put anything there. */
const ERROR_CODE = /^[a-z0-9_]{1,40}$/;
/** The guarded client gives a body this long after its headers. */
const BODY_GRACE_MS = 2_000;

/** Thrown to leave the library when the answer is not one it should read. */
class Unread extends Error {}

export async function requestToken(
  client: Pick<GuardedClient, 'send'>,
  asking: TokenClient,
  timeoutMs: number,
): Promise<TokenResult> {
  const { oauth } = asking;
  const server: AuthorizationServer = {
    issuer: assertionAudience(oauth),
    token_endpoint: oauth.tokenUrl,
  };
  const party: Client = { client_id: oauth.clientId };
  let answer: EgressResult | undefined;
  try {
    const response = await clientCredentialsGrantRequest(
      server,
      party,
      await clientAuth(asking),
      asked(asking),
      {
        // The guard has its own rules for plain http.
        [allowInsecureRequests]: true,
        [customFetch]: async (url, { body, headers }) => {
          answer = await client.send({
            ...{ url, headers, timeoutMs, keptBodyBytes: ANSWER_BYTES },
            body: Buffer.from(body.toString()),
          });
          return readable(answer);
        },
      },
    );
    return tokenOf(await processClientCredentialsResponse(server, party, response));
  } catch (error) {
    if (answer === undefined) return failed('internal', error instanceof Error ? error.name : 'unknown');
    return error instanceof Unread
      ? failureOf(answer, timeoutMs)
      : failed('auth_token_invalid', complaintOf(error));
  }
}

function asked({ oauth }: TokenClient): [string, string][] {
  return [
    ...(oauth.scope === null ? [] : [['scope', oauth.scope] as [string, string]]),
    ...oauth.resource.map((uri): [string, string] => ['resource', uri]),
    ...(oauth.audience === null ? [] : [['audience', oauth.audience] as [string, string]]),
  ];
}

/** Only a whole 200 is for the library to read. */
function readable(answer: EgressResult): Response {
  if (answer.kind === 'failed' || answer.status !== 200 || answer.bodyTruncated) throw new Unread();
  const type = answer.headers['content-type'];
  return new Response(new Uint8Array(answer.body), {
    headers: typeof type === 'string' ? { 'content-type': type } : {},
  });
}

function tokenOf(response: {
  access_token: string;
  token_type: string;
  expires_in?: number;
  scope?: string;
}): TokenResult {
  const {
    access_token: token,
    token_type: type,
    expires_in: expiresInSeconds,
    scope: grantedScope,
  } = response;
  if (type.toLowerCase() !== 'bearer') return failed('auth_token_invalid', 'token_type is not bearer');
  if (token.length > TOKEN_CHARS) return failed('auth_token_invalid', 'access_token is too long');
  if (!TOKEN.test(token)) return failed('auth_token_invalid', 'access_token has characters no token has');
  if (expiresInSeconds !== undefined && !Number.isFinite(expiresInSeconds)) {
    return failed('auth_token_invalid', 'expires_in is not a number of seconds');
  }
  return { kind: 'token', token, expiresInSeconds, grantedScope };
}

function failureOf(answer: EgressResult, timeoutMs: number): TokenFailure {
  if (answer.kind === 'failed') {
    if (answer.class === 'timeout' || answer.class === 'connect_timeout') {
      return failed('auth_token_timeout', answer.class);
    }
    return answer.class === 'internal' ? failed('internal') : failed('auth_token_unreachable', answer.class);
  }
  const { status, headers, body, timings } = answer;
  const retryAfter = headers['retry-after'];
  if (status === 429 || status === 408 || status >= 500) {
    return { ...failed('auth_token_unavailable', `status ${status}`), retryAfter };
  }
  if (status >= 400) return failed('auth_token_refused', errorCode(body) ?? `status ${status}`);
  if (status !== 200) return failed('auth_token_invalid', `status ${status}`);
  if (body.length >= ANSWER_BYTES) return failed('auth_token_invalid', 'the answer is too long');
  // The status came but not the rest: it was too slow, or broke off.
  const isTooSlow = timings.totalMs >= 0.9 * Math.min(BODY_GRACE_MS, timeoutMs);
  return isTooSlow
    ? failed('auth_token_timeout', 'the answer did not end')
    : failed('auth_token_invalid', 'the answer broke off');
}

function errorCode(body: Buffer): string | undefined {
  try {
    const { error } = JSON.parse(body.toString()) as { error?: unknown };
    return typeof error === 'string' && ERROR_CODE.test(error) ? error : undefined;
  } catch {
    return undefined;
  }
}

/** What the library found wrong, in words of ours: its own may quote the answer. */
function complaintOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const field = /"(access_token|token_type|expires_in|scope|refresh_token)"/.exec(String(message))?.[1];
  if (field !== undefined) return `${field} is missing or not what it must be`;
  if (code === 'OAUTH_UNSUPPORTED_OPERATION') return 'token_type is not bearer';
  return code === 'OAUTH_PARSE_ERROR' || code === 'OAUTH_RESPONSE_IS_NOT_JSON'
    ? 'the answer is not JSON'
    : 'the answer is not a token response';
}

function failed(attemptClass: TokenFailure['class'], why?: string): TokenFailure {
  const sentence = attemptErrors[attemptClass];
  return {
    kind: 'failed',
    class: attemptClass,
    message: why === undefined ? sentence : `${sentence} (${why})`,
  };
}
