import { timingSafeEqual } from 'node:crypto';
import { isId, type Permission, UID_PATTERN } from '@posthaste/contracts';
import { type Logger, Problem } from '@posthaste/runtime';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { isSameDigest, keyDigest, parseKey } from '../access/api-key.js';
import { bearerOf } from '../access/authenticate.js';
import { allows } from '../access/principal.js';
import { absent, databaseAway, forbidden, notPermitted, unauthenticated } from '../http/refusals.js';
import { CoalescedLookup } from './coalesced-lookup.js';
import { checkStanding, type Standing, type StandingAsk } from './sql/check-standing.js';
import { type AccountRouting, type Candidate, loadAccountRouting } from './sql/load-account-routing.js';
import { type Catalogue, loadEventTypes } from './sql/load-event-types.js';

/**
 * Decides whether a key may publish to an account, and with which endpoints and event types.
 *
 * Every publish asks PostgreSQL whether what is cached still stands; all that wait ask together, about once a
 * millisecond, by one small query over primary keys. Endpoints and event types are loaded again only when a version
 * moved. So a publish that starts after a change was answered sees it, through any replica, and a revoked key is
 * refused at once.
 *
 * When PostgreSQL does not answer, what it said less than 60 s ago is used and the admission says so (`stale`);
 * without that it is `unavailable`. It tries again for every publish, so nothing is stale longer than it must be.
 */
export interface Admission {
  tenant: string;
  account: string;
  /** What the tenant calls the account. */
  subject: { uid: string; name: string };
  /** The account's configuration version the candidates belong to. */
  config: number;
  candidates: readonly Candidate[];
  /** The event types that are accepted; null = all. */
  eventTypes: ReadonlySet<string> | null;
  stale: boolean;
}

export interface GateOptions {
  pool: pg.Pool;
  pepper: string;
  operatorKey: string;
  now: () => number;
  logger: Logger;
}

/** What a key must be permitted, here. */
export const TO_PUBLISH: Permission = 'messages:write';

const STALE_LIMIT_MS = 60_000;
/** A query that takes longer counts as no answer: a caller must not wait out a frozen database. */
const QUERY_TIMEOUT_MS = 1_500;
const SPACING_MS = 1;

/** An answer of PostgreSQL, and when it was last known to be true. */
interface Known<T> {
  value: T;
  atMs: number;
}

export class AccountGate {
  private readonly operatorDigest: Buffer;
  /** Only keys that proved right are remembered: a stranger's guesses push nothing out. */
  private readonly digests = new LRUCache<string, { id: string; digest: Buffer }>({ max: 10_000 });
  private readonly standings = new LRUCache<string, Known<Standing>>({ max: 50_000 });
  private readonly routings = new LRUCache<string, Known<AccountRouting>>({
    maxSize: 200_000,
    sizeCalculation: ({ value }) => 1 + value.candidates.length,
  });
  private readonly catalogues = new LRUCache<string, Known<Catalogue>>({
    maxSize: 200_000,
    sizeCalculation: ({ value }) => 1 + value.names.size,
  });
  private unanswered = false;
  private readonly standingLookup: CoalescedLookup<StandingAsk, Standing | null>;
  private readonly routingLookup: CoalescedLookup<string, AccountRouting | null>;
  private readonly catalogueLookup: CoalescedLookup<string, Catalogue | null>;

  constructor(private readonly options: GateOptions) {
    const { pool, pepper, operatorKey } = options;
    this.operatorDigest = keyDigest(pepper, operatorKey);
    const withTimeout =
      <Ask, Answer>(find: (pool: pg.Pool, asks: Ask[], timeoutMs: number) => Promise<Answer[]>) =>
      (asks: Ask[]) =>
        this.watched(find(pool, asks, QUERY_TIMEOUT_MS));
    this.standingLookup = new CoalescedLookup(withTimeout(checkStanding), SPACING_MS);
    this.routingLookup = new CoalescedLookup(withTimeout(loadAccountRouting));
    this.catalogueLookup = new CoalescedLookup(withTimeout(loadEventTypes));
  }

  /** Throws nothing that was to be expected: a refusal is a Problem answered. */
  async admit(authorization: string | undefined, accountRef: string): Promise<Admission | Problem> {
    const text = bearerOf(authorization);
    const key = text === null ? null : this.keyOf(text);
    if (text === null || key === null) return unauthenticated(authorization);
    if (key === 'operator') return forbidden(['tenant', 'account']);
    const checked = await this.standing(key.id, accountRef);
    if (checked instanceof Problem) return checked;
    const { standing, stale } = checked;
    if (!isSameDigest(standing?.digest, key.digest) || !standing || !this.isLive(standing, stale)) {
      return unauthenticated(authorization);
    }
    this.digests.set(text, key);
    const { account, boundTo, permissions } = standing;
    if (!allows(permissions, TO_PUBLISH)) return notPermitted(TO_PUBLISH);
    if (account === null || (boundTo !== null && boundTo !== account)) {
      return absent('account', ':account');
    }
    return this.admission(standing, account, stale);
  }

  /** One line when the database stops answering, one when it answers again. */
  private async watched<T>(query: Promise<T>): Promise<T> {
    try {
      const answer = await query;
      if (this.unanswered) this.options.logger.info('publish.database_answers');
      this.unanswered = false;
      return answer;
    } catch (error) {
      if (!this.unanswered) this.options.logger.warn({ err: error }, 'publish.database_silent');
      this.unanswered = true;
      throw error;
    }
  }

  private keyOf(text: string): { id: string; digest: Buffer } | 'operator' | null {
    const known = this.digests.get(text);
    if (known) return known;
    const digest = keyDigest(this.options.pepper, text);
    if (timingSafeEqual(digest, this.operatorDigest)) return 'operator';
    const parsed = parseKey(text);
    return parsed && { id: parsed.id, digest };
  }

  private async standing(
    key: string,
    accountRef: string,
  ): Promise<{ standing: Standing | null; stale: boolean } | Problem> {
    const pair = `${key} ${accountRef}`;
    const byId = isId('account', accountRef);
    // What can be no uid is asked for as one that nobody has: the text itself could make the query of all who wait fail.
    const uid = UID_PATTERN.test(accountRef) ? accountRef : '';
    const ask = { key, accountId: byId ? accountRef : null, accountUid: byId ? null : uid };
    try {
      const standing = await this.standingLookup.ask(pair, ask);
      if (standing?.account != null) this.standings.set(pair, this.known(standing));
      else this.standings.delete(pair);
      return { standing, stale: false };
    } catch {
      const standing = this.recent(this.standings.get(pair));
      return standing ? { standing, stale: true } : databaseAway();
    }
  }

  private isLive({ live, expiresAtMs }: Standing, stale: boolean): boolean {
    return live && (!stale || expiresAtMs === null || expiresAtMs > this.options.now());
  }

  private async admission(standing: Standing, account: string, stale: boolean): Promise<Admission | Problem> {
    const { tenant, accountConfig, tenantConfig, eventTypePolicy } = standing;
    const routing = await this.current(this.routings, this.routingLookup, account, accountConfig ?? 0, stale);
    const catalogue =
      eventTypePolicy === 'any'
        ? undefined
        : await this.current(this.catalogues, this.catalogueLookup, tenant, tenantConfig, stale);
    if (routing === null || catalogue === null) return databaseAway();
    return {
      tenant,
      account,
      subject: { uid: routing.value.uid, name: routing.value.name },
      config: routing.value.config,
      candidates: routing.value.candidates,
      eventTypes: catalogue?.value.names ?? null,
      stale: stale || routing.stale || (catalogue?.stale ?? false),
    };
  }

  /** What is cached if it has the version or may be stale, else what is loaded; null when neither is to be had. */
  private async current<T extends { config: number }>(
    cache: { get(key: string): Known<T> | undefined; set(key: string, known: Known<T>): unknown },
    lookup: CoalescedLookup<string, T | null>,
    id: string,
    config: number,
    stale: boolean,
  ): Promise<{ value: T; stale: boolean } | null> {
    const cached = cache.get(id);
    if (!stale) {
      if (cached && cached.value.config >= config) {
        cached.atMs = this.options.now();
        return { value: cached.value, stale: false };
      }
      try {
        const value = await lookup.ask(id, id);
        // Deleted between the two queries: as if it had been a moment before.
        if (value === null) return null;
        cache.set(id, this.known(value));
        return { value, stale: false };
      } catch {
        // It stopped answering between the two queries.
      }
    }
    const value = this.recent(cached);
    return value && { value, stale: true };
  }

  private known<T>(value: T): Known<T> {
    return { value, atMs: this.options.now() };
  }

  private recent<T>(known: Known<T> | undefined): T | null {
    return known && this.options.now() - known.atMs < STALE_LIMIT_MS ? known.value : null;
  }
}
