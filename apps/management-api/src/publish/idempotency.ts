import { createHash } from 'node:crypto';
import { IDEMPOTENCY_KEY_PATTERN, publishLimits } from '@posthaste/contracts';
import { type FieldError, Problem } from '@posthaste/runtime';
import type pg from 'pg';
import { CoalescedLookup } from './coalesced-lookup.js';
import type { PublishRequest } from './publish-request.js';
import { type Claim, type ClaimAsk, claimKeys } from './sql/claim-keys.js';
import { type Settlement, settleKeys } from './sql/settle-keys.js';

/**
 * Lets a caller repeat a publish without publishing twice. Two keys do so: the request's `Idempotency-Key`, whose
 * repeat gets the very answer of the first, and a message's `event_id`, whose repeat gets 200 and the message it became.
 *
 * A key is claimed before anything is appended, and the claim fixes the message's id. States of a key:
 *   claimed -> done       the answer is stored, for 24 h
 *   claimed -> free       it came to nothing (503): the next request takes over, under the same id
 *   claimed -> abandoned  nobody said how it ended for 15 s: the process died, the next request takes over likewise
 * A takeover may append a message that is in the log already; having one id, it is delivered once.
 *
 * Claims and settlements of many requests share one statement, and so one commit.
 */
export class Idempotency {
  private readonly claims: CoalescedLookup<ClaimAsk, Claim>;
  private readonly settlements: CoalescedLookup<Settlement, void>;
  private asked = 0;

  constructor(pool: pg.Pool) {
    this.claims = new CoalescedLookup((asks) => claimKeys(pool, asks, QUERY_TIMEOUT_MS));
    this.settlements = new CoalescedLookup((asks) => settleKeys(pool, asks, QUERY_TIMEOUT_MS));
  }

  /** Claims all or nothing: with one refusal the rest is set free again and a Problem answered. */
  async claim(asks: readonly ClaimAsk[]): Promise<Claim[] | Problem> {
    const claims = await Promise.all(asks.map((ask) => this.claims.ask(String(this.asked++), ask)));
    const refusal = claims.findIndex(({ kind }) => kind === 'running' || kind === 'reused');
    if (refusal < 0) return claims;
    await this.release(asks.filter((_, i) => claims[i]?.kind === 'claimed'));
    return refusalOf(asks[refusal] as ClaimAsk, (claims[refusal] as Claim).kind === 'reused');
  }

  async settle(settlements: readonly Settlement[]): Promise<void> {
    await Promise.all(
      settlements.map((settlement) => this.settlements.ask(String(this.asked++), settlement)),
    );
  }

  /** Frees keys whose work came to nothing. Never fails: at worst they are free after 15 s. */
  async release(asks: readonly Pick<ClaimAsk, 'tenant' | 'scope' | 'key'>[]): Promise<void> {
    const freed = asks.map(({ tenant, scope, key }) => ({ tenant, scope, key, response: null }));
    await this.settle(freed).catch(() => undefined);
  }
}

const QUERY_TIMEOUT_MS = 5_000;
export const EVENT_ID_SCOPE = 'event_id';
export const IDEMPOTENCY_KEY = 'Idempotency-Key';

export function checkIdempotencyKey(value: string | string[] | undefined): Problem | undefined {
  if (value === undefined) return undefined;
  const key = String(value);
  const { idempotencyKeyChars } = publishLimits;
  if (key.length >= 1 && key.length <= idempotencyKeyChars && IDEMPOTENCY_KEY_PATTERN.test(key))
    return undefined;
  const message = `must be 1 to ${idempotencyKeyChars} printable ASCII characters`;
  return new Problem('invalid_request', `${IDEMPOTENCY_KEY} ${message}.`, [
    { pointer: IDEMPOTENCY_KEY, code: 'invalid_format', message },
  ]);
}

/** Of a whole request: where it went, which form it had, and its bytes. */
export function requestFingerprint(
  scope: string,
  account: string,
  form: readonly unknown[],
  body: Buffer,
): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([scope, account, form]))
    .update(body)
    .digest();
}

/** Of one message, however the request around it was written. */
export function messageFingerprint(account: string, request: PublishRequest): Buffer {
  const { eventType, contentType, channels, tags, orderingKey, payload } = request;
  return createHash('sha256')
    .update(JSON.stringify([account, eventType, contentType, channels, tags, orderingKey]))
    .update(payload)
    .digest();
}

function refusalOf({ pointer }: ClaimAsk, reused: boolean): Problem {
  const code = reused ? 'used_otherwise' : 'in_progress';
  const message = reused ? 'was used with another request' : 'is being published by another request';
  const errors: FieldError[] = [{ pointer, code, message }];
  return reused
    ? new Problem('idempotency_key_reused', `${pointer} ${message}.`, errors)
    : new Problem('idempotency_in_progress', `${pointer} ${message}.`, errors, 1);
}
