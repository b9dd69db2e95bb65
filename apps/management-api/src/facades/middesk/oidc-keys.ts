import type { OnModuleDestroy, OnModuleInit } from '@nestjs/common';
import { type OAuthInput, PublicJwk, type WrappedKey } from '@posthaste/contracts';
import type { Logger } from '@posthaste/runtime';
import type { Vault } from '@posthaste/vault';
import type { DataSource, EntityManager } from 'typeorm';
import type { Changes } from '../../changes/changes.js';
import { endpointKind } from '../../endpoints/endpoint.entity.js';
import { findEndpointOrNull, lockEndpoint } from '../../endpoints/find-endpoint.js';
import { importedKey, JWKS_MAX_AGE_MS, previousKey } from '../../endpoints/oauth-key.js';
import { credentialSealer } from '../../endpoints/seal-credential.js';
import { dataKeysOf } from '../../endpoints/signing-secrets.js';
import { newCertifiedKey } from './certified-key.js';

/**
 * The keys that sign the assertions of all webhooks made through Middesk's API, and what `oidc_keys` shows of them.
 *
 * One key for the installation, and not one for each endpoint as elsewhere: the product has one list for everybody, which
 * must stay short and say nothing of tenants; and receivers who know a client by its certificate register that once. What
 * it costs is `endpoints/foreign-client.ts`. Whoever wants a key of their own makes the endpoint through our API, which has one.
 *
 *   announced (shown) -> signing (shown) -> leaving (shown) -> retired (shown until its last assertion has expired)
 *
 * A new key is made by itself before the old one is a year old, and announced for a month before it signs. Then each
 * endpoint is given it, by a change of its own, with the old one as the key before. Every step can be repeated, and each
 * replica tries all of them when it starts and once an hour.
 */
const DAY_MS = 86_400_000;
const RENEW_AFTER_MS = 335 * DAY_MS;
const ANNOUNCED_MS = 30 * DAY_MS;
const CERTIFICATE_MS = 2 * 365 * DAY_MS;
/** The key before signs for five and a half minutes after it was replaced, and what it signed lasts five at most. */
const RETIRED_SHOWN = '15 minutes';
const TEND_EVERY_MS = 3_600_000;
/** Strangers may ask as often as they like; PostgreSQL is asked this often. */
const LIST_KEPT_MS = 5_000;
const MOVED_AT_ONCE = 500;

/** Whose the keys are; it stands where else a tenant does. */
const OWNER = 'installation';
const LOCK = `select pg_advisory_xact_lock(hashtextextended('config.shared_key', 0))`;
const AUTHOR = { actor: 'system', from: '', requestId: 'oidc-key-renewal' };

interface KeyRow {
  kid: string;
  public: PublicJwk;
  data_key: WrappedKey;
  sealed: string;
  created_at: Date;
}

export interface OidcKeysParts {
  database: DataSource;
  changes: Changes;
  vault: Vault;
  logger: Logger;
  now?: () => number;
}

export class OidcKeys implements OnModuleInit, OnModuleDestroy {
  private readonly now: () => number;
  private kept: { keys: Promise<PublicJwk[]>; atMs: number } | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly parts: OidcKeysParts) {
    this.now = parts.now ?? Date.now;
  }

  onModuleInit(): void {
    const tend = () =>
      this.tend().catch((error: unknown) => this.parts.logger.warn({ err: error }, 'oidc_keys.not_tended'));
    this.timer = setInterval(() => void tend(), TEND_EVERY_MS).unref();
    // One that is restarted more often than that must not put it off for ever.
    void tend();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  /** All that may have signed an assertion that is not over, and those that will; the newest first. */
  published(): Promise<PublicJwk[]> {
    const atMs = this.now();
    if (this.kept && atMs - this.kept.atMs < LIST_KEPT_MS) return this.kept.keys;
    const keys = this.list();
    this.kept = { keys, atMs };
    keys.catch(() => (this.kept = undefined));
    return keys;
  }

  /** The private key endpoints sign with, as a JWK with its certificate. Must not be logged. */
  async signingKey(): Promise<NonNullable<OAuthInput['private_key']>> {
    const row = this.signing(await this.rows(this.parts.database.manager));
    return this.open(row ?? (await this.first()));
  }

  /** Takes each step of a key's life that is due. */
  async tend(): Promise<void> {
    const rows = await this.rows(this.parts.database.manager);
    const [newest] = rows;
    // As long as nobody has asked for a key there is none.
    if (!newest) return;
    if (this.ageMs(newest) > RENEW_AFTER_MS) await this.make(newest.kid);
    const signing = this.signing(rows);
    if (!signing) return;
    const leaving = rows.filter((row) => row.created_at < signing.created_at).map(({ kid }) => kid);
    if (leaving.length === 0) return;
    await this.moveFrom(leaving, signing);
    await this.parts.database.query(
      `update config.shared_key key set retired_at = now()
        where kid = any($1) and retired_at is null
          and not exists (select 1 from config.endpoint
                           where oauth->'key'->'public'->>'kid' = key.kid and oauth->'key' is not null and deleted_at is null)`,
      [leaving],
    );
  }

  private async list(): Promise<PublicJwk[]> {
    const shown = await this.parts.database.query<Pick<KeyRow, 'public'>[]>(
      `select public from config.shared_key
        where retired_at is null or retired_at > now() - interval '${RETIRED_SHOWN}' order by created_at desc`,
    );
    const rows = shown.length > 0 ? shown : [await this.first()];
    return rows.map((row) => row.public);
  }

  private async moveFrom(leaving: string[], signing: KeyRow): Promise<void> {
    const { database, changes, vault } = this.parts;
    const key = await importedKey(this.open(signing), 'RS256');
    for (;;) {
      const found = await database.query<{ tenant: string; id: string }[]>(
        `select tenant, id from config.endpoint
          where oauth->'key'->'public'->>'kid' = any($1) and oauth->'key' is not null and deleted_at is null
          limit ${MOVED_AT_ONCE}`,
        [leaving],
      );
      if (found.length === 0) return;
      for (const { tenant, id } of found) {
        await changes.make(AUTHOR, async (draft) => {
          const reach = { tenant, account: null };
          if (!(await findEndpointOrNull(draft.manager, reach, { endpoint: id }))) return;
          const row = await lockEndpoint(draft, reach, { endpoint: id });
          if (!row.oauth?.key || !leaving.includes(row.oauth.key.public.kid)) return;
          const nowMs = draft.at.getTime();
          const owner = { tenant, endpoint: id };
          const seal = credentialSealer(vault, await dataKeysOf(draft.manager, tenant), owner, nowMs);
          const previous = previousKey(row.oauth, nowMs);
          row.oauth = {
            ...row.oauth,
            credential: seal('oauth', key.private),
            key: { public: key.public, jwks: row.oauth.key.jwks, ...(previous ? { previous } : {}) },
          };
          await draft.write(endpointKind, row, 'endpoint.updated', ['oauth']);
        });
      }
    }
  }

  /** The newest that was shown for long enough; while there is none such, the oldest. */
  private signing(rows: KeyRow[]): KeyRow | undefined {
    return rows.find((row) => this.ageMs(row) >= ANNOUNCED_MS) ?? rows.at(-1);
  }

  private ageMs({ created_at }: KeyRow): number {
    return this.now() - created_at.getTime();
  }

  /** Those not retired, the newest first. */
  private rows(manager: EntityManager): Promise<KeyRow[]> {
    return manager.query<KeyRow[]>(
      'select * from config.shared_key where retired_at is null order by created_at desc, kid',
    );
  }

  private async first(): Promise<KeyRow> {
    const [row] = await this.make(undefined);
    if (!row) throw new Error('a key that was just made is not there');
    return row;
  }

  /** Makes a key unless another replica has: the newest is no longer the one that was known. */
  private async make(newest: string | undefined): Promise<KeyRow[]> {
    const { database, vault } = this.parts;
    return database.transaction(async (manager) => {
      await manager.query(LOCK);
      const rows = await this.rows(manager);
      if (rows[0]?.kid !== newest) return rows;
      const { kid, jwk } = await newCertifiedKey(this.now(), CERTIFICATE_MS);
      const key = await importedKey(jwk, 'RS256');
      const dataKey = vault.newDataKey(OWNER);
      await manager.query(
        'insert into config.shared_key (kid, public, data_key, sealed, created_at) values ($1, $2, $3, $4, $5)',
        [
          kid,
          key.public,
          dataKey,
          vault.seal(dataKey, contextOf(kid), JSON.stringify(jwk)),
          new Date(this.now()),
        ],
      );
      return this.rows(manager);
    });
  }

  private open({ kid, data_key, sealed }: KeyRow): Record<string, unknown> {
    return JSON.parse(this.parts.vault.open([data_key], contextOf(kid), sealed)) as Record<string, unknown>;
  }
}

/** What token servers may keep the list for. */
export const OIDC_KEYS_CACHE = `public, max-age=${JWKS_MAX_AGE_MS / 1_000}`;

function contextOf(kid: string) {
  return { table: 'shared_key', tenant: OWNER, row: kid, column: 'private' };
}
