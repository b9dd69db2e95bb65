import { attemptErrors } from '@posthaste/contracts';
import { parseRetryAfter } from '@posthaste/delivery';
import { type GuardedClient, requestToken, type TokenClient, type TokenFailure } from '@posthaste/egress';
import { LRUCache } from 'lru-cache';

/**
 * Access tokens of receivers, one per way of asking for it (`TokenClient.cacheKey`), kept in this process only.
 *
 *   nothing -> fetching -> held -> held, refreshing -> held | nothing
 *                       -> on hold -> nothing
 *
 * However many deliveries want a token at once, one request is under way for it. A token is held for its life less a
 * margin, an hour at most or what its client sets; in the last fifth of that the next one is fetched while the old one serves on. After a
 * failure the server is left alone for a while, longer each time, and those who ask meanwhile are told of the failure:
 * ten thousand queued messages must not become ten thousand refused logins. Never rejects.
 *
 * Not promised: that a token is good. Who finds out that it is not says so with `drop`.
 */
export interface TokenCacheOptions {
  client: Pick<GuardedClient, 'send'>;
  /** The server gave a token for less than what was asked; said once for each way of asking. */
  onScopeNarrowed?(client: TokenClient, granted: string): void;
  /** A token server was asked; `token`, or the class of what went wrong. */
  onAnswered?(outcome: 'token' | TokenFailure['class']): void;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

export type TokenAnswer =
  { kind: 'token'; token: string } | (Omit<TokenFailure, 'retryAfter'> & { retryAfterMs: number });

interface Entry {
  held?: { token: string; freshUntil: number; refreshFrom: number } | undefined;
  fetching?: Promise<TokenAnswer> | undefined;
  hold?: { failure: TokenFailure; until: number } | undefined;
  failures: number;
  /** Until then a receiver's 401 is believed to be about something else than the token. */
  keepUntil: number;
  isNarrowed: boolean;
}

const FETCH_TIMEOUT_MS = 10_000;
const MAX_ENTRIES = 10_000;
const LIFE_WHEN_UNSAID_MS = 300_000;
const LIFE_MAX_MS = 3_600_000;
/** What a token must have left: a delivery may take half a minute. */
const MARGIN_MS = 30_000;
const MARGIN_SHARE = 0.1;
const REFRESH_FROM_SHARE = 0.8;
/** A refusal does not heal by itself; a server that is away may be back at once. */
const REFUSED_HOLD_MS = 30_000;
const AWAY_HOLD_MS = 1_000;
const HOLD_MAX_MS = 60_000;
const RETRY_AFTER_MAX_MS = 300_000;
const KEEP_AFTER_SECOND_401_MS = 30_000;

const TOO_SLOW: TokenAnswer = {
  kind: 'failed',
  class: 'auth_token_timeout',
  message: `${attemptErrors.auth_token_timeout} (deadline)`,
  retryAfterMs: 0,
};

export class TokenCache {
  private readonly entries = new LRUCache<string, Entry>({ max: MAX_ENTRIES });
  private readonly now: () => number;

  constructor(private readonly options: TokenCacheOptions) {
    this.now = options.now ?? (() => performance.now());
  }

  /** The token to use now, or why there is none, within `timeoutMs`. */
  get(client: TokenClient, timeoutMs: number): TokenAnswer | Promise<TokenAnswer> {
    const entry = this.entryOf(client);
    const now = this.now();
    const { held, hold } = entry;
    const isOnHold = hold !== undefined && now < hold.until;
    if (held && now < held.freshUntil) {
      if (now >= held.refreshFrom && !isOnHold) void this.fetch(client, entry);
      return { kind: 'token', token: held.token };
    }
    if (isOnHold && !entry.fetching) return answerOf(hold.failure, hold.until - now);
    return within(this.fetch(client, entry), timeoutMs);
  }

  /**
   * The receiver did not take the token. True when asking again gives another one: it was dropped, or had been replaced
   * meanwhile.
   */
  drop(client: TokenClient, token: string): boolean {
    const entry = this.entryOf(client);
    if (entry.held?.token !== token) return true;
    if (this.now() < entry.keepUntil) return false;
    entry.held = undefined;
    return true;
  }

  /** A token fetched because of a 401 got a 401 too: for a while no more are fetched for that reason. */
  keep(client: TokenClient): void {
    this.entryOf(client).keepUntil = this.now() + KEEP_AFTER_SECOND_401_MS;
  }

  private entryOf({ cacheKey }: TokenClient): Entry {
    let entry = this.entries.get(cacheKey);
    if (!entry) {
      entry = { failures: 0, keepUntil: 0, isNarrowed: false };
      this.entries.set(cacheKey, entry);
    }
    return entry;
  }

  private fetch(client: TokenClient, entry: Entry): Promise<TokenAnswer> {
    entry.fetching ??= this.fetchOnce(client, entry).finally(() => (entry.fetching = undefined));
    return entry.fetching;
  }

  private async fetchOnce(client: TokenClient, entry: Entry): Promise<TokenAnswer> {
    const result = await requestToken(this.options.client, client, FETCH_TIMEOUT_MS);
    const now = this.now();
    this.options.onAnswered?.(result.kind === 'token' ? 'token' : result.class);
    if (result.kind === 'failed') {
      const holdMs = holdMsOf(result, entry.failures++);
      entry.hold = { failure: result, until: now + holdMs };
      return answerOf(result, holdMs);
    }
    const { token, expiresInSeconds, grantedScope } = result;
    const lifeMs = lifeMsOf(expiresInSeconds, client.oauth.maxTokenTtlSeconds);
    entry.held = { token, freshUntil: now + lifeMs, refreshFrom: now + REFRESH_FROM_SHARE * lifeMs };
    entry.hold = undefined;
    entry.failures = 0;
    this.noteScope(client, entry, grantedScope);
    return { kind: 'token', token };
  }

  private noteScope(client: TokenClient, entry: Entry, granted: string | undefined): void {
    // Without a scope in the answer, what was asked for was granted (RFC 6749 section 5.1).
    const has = new Set(granted?.split(' '));
    const isNarrowed = granted !== undefined && client.oauth.scope?.split(' ').some((one) => !has.has(one));
    if (isNarrowed && !entry.isNarrowed) this.options.onScopeNarrowed?.(client, granted);
    entry.isNarrowed = isNarrowed ?? false;
  }
}

function lifeMsOf(expiresInSeconds: number | undefined, maxSeconds: number | undefined): number {
  const mostMs = Math.min(LIFE_MAX_MS, (maxSeconds ?? Infinity) * 1_000);
  if (expiresInSeconds === undefined) {
    // Who sets a most knows the server better than we do.
    return maxSeconds === undefined ? LIFE_WHEN_UNSAID_MS : mostMs;
  }
  const lifeMs = expiresInSeconds * 1_000;
  return Math.min(lifeMs - Math.max(MARGIN_MS, lifeMs * MARGIN_SHARE), mostMs);
}

function holdMsOf({ class: why, retryAfter }: TokenFailure, failuresBefore: number): number {
  const asked = parseRetryAfter(retryAfter, Date.now());
  if (asked !== undefined) return Math.min(Math.max(asked, AWAY_HOLD_MS), RETRY_AFTER_MAX_MS);
  const isRefusal = why === 'auth_token_refused' || why === 'auth_token_invalid';
  const first = isRefusal ? REFUSED_HOLD_MS : AWAY_HOLD_MS;
  return Math.min(first * 2 ** Math.min(failuresBefore, 10), HOLD_MAX_MS);
}

function answerOf({ class: why, message }: TokenFailure, retryAfterMs: number): TokenAnswer {
  return { kind: 'failed', class: why, message, retryAfterMs };
}

/** The request goes on for those who wait longer. */
function within(fetching: Promise<TokenAnswer>, timeoutMs: number): Promise<TokenAnswer> {
  if (timeoutMs >= FETCH_TIMEOUT_MS) return fetching;
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(TOO_SLOW), timeoutMs);
    void fetching.then((answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}
