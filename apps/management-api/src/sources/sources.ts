import { randomBytes } from 'node:crypto';
import { newId, type PutSource, type Source, type SourceState, type WrappedKey } from '@posthaste/contracts';
import type { EgressPolicy } from '@posthaste/egress';
import { type Vault, VaultError } from '@posthaste/vault';
import { type DataSource, IsNull } from 'typeorm';
import { findAccount } from '../accounts/accounts.js';
import type { Author, Reach } from '../access/principal.js';
import type { Changes, Draft } from '../changes/changes.js';
import { dataKeysOf } from '../endpoints/signing-secrets.js';
import { requireMatch } from '../http/if-match.js';
import { changedFields } from '../http/merge-patch.js';
import { absent } from '../http/refusals.js';
import { callable } from '../http/validate.js';
import { removeSource } from './remove-source.js';
import { maskedHeaders, openHeaders, sealHeaders } from './source-headers.js';
import { sourceKind, SourceRow } from './source.entity.js';

/**
 * Where an account's events come from by themselves: one stream per account. This is the configuration; `streams/`
 * reads it while the account is monitored, and what is shown of that is the same through every replica.
 */
export class Sources {
  constructor(
    private readonly database: DataSource,
    private readonly changes: Changes,
    private readonly vault: Vault,
    private readonly egress: EgressPolicy,
  ) {}

  async get(reach: Reach, ref: string): Promise<Source> {
    const { id } = await findAccount(this.database.manager, reach, ref);
    return this.shown(id);
  }

  /** Creates the source or replaces what it says; repeating it changes nothing. */
  async put(
    author: Author,
    reach: Reach,
    ref: string,
    input: PutSource,
    ifMatch?: string,
  ): Promise<{ source: Source; created: boolean }> {
    const { account, created } = await this.changes.make(author, async (draft) => {
      const { id, tenant } = await findAccount(draft.manager, reach, ref, true);
      const found = await draft.manager.findOneBy(SourceRow, { account: id, deletedAt: IsNull() });
      if (ifMatch !== undefined) requireMatch(ifMatch, found?.version ?? 0);
      if (found) await this.replace(draft, found, input);
      else await this.create(draft, { account: id, tenant }, input);
      return { account: id, created: found === null };
    });
    return { source: await this.shown(account), created };
  }

  async remove(author: Author, reach: Reach, ref: string, ifMatch?: string): Promise<void> {
    await this.changes.make(author, async (draft) => {
      const { id } = await findAccount(draft.manager, reach, ref, true);
      const row = await draft.manager.findOneBy(SourceRow, { account: id, deletedAt: IsNull() });
      if (row === null) throw absent('source', ':account');
      requireMatch(ifMatch, row.version);
      await removeSource(draft, id);
    });
  }

  private async create(
    draft: Draft,
    owner: { account: string; tenant: string },
    input: PutSource,
  ): Promise<void> {
    const row = Object.assign(new SourceRow(), {
      ...owner,
      id: newId('source', draft.at.getTime()),
      version: 0,
      url: callable(input.url, '/url', this.egress),
      syncUrl: input.sync_url === null ? null : callable(input.sync_url, '/sync_url', this.egress),
      headerNames: Object.keys(input.headers),
      headers: sealHeaders(this.vault, await dataKeysOf(draft.manager, owner.tenant), owner, input.headers),
      stream: newStream(),
      createdAt: draft.at,
      deletedAt: null,
    });
    await draft.write(sourceKind, row, 'source.created', Object.keys(input));
    await draft.manager.query(
      `insert into config.source_stream (account, stream, state) values ($1, $2, '{"status":"connecting"}')`,
      [row.account, row.stream],
    );
  }

  private async replace(draft: Draft, row: SourceRow, input: PutSource): Promise<void> {
    const dataKeys = await dataKeysOf(draft.manager, row.tenant);
    const before = {
      url: row.url,
      headers: this.readableHeaders(dataKeys, row),
      sync_url: row.syncUrl,
    };
    const after: PutSource = {
      // A URL that was fine when it was set stays, even if the rules have become stricter since.
      url: input.url === before.url ? input.url : callable(input.url, '/url', this.egress),
      headers: input.headers,
      sync_url:
        input.sync_url === null || input.sync_url === before.sync_url
          ? input.sync_url
          : callable(input.sync_url, '/sync_url', this.egress),
    };
    const changed = changedFields(before, after);
    row.url = after.url;
    row.syncUrl = after.sync_url;
    if (changed.includes('headers')) {
      row.headerNames = Object.keys(after.headers);
      row.headers = sealHeaders(this.vault, dataKeys, row, after.headers);
    }
    if (changed.includes('url')) row.stream = newStream();
    await draft.write(sourceKind, row, 'source.updated', changed);
    if (changed.includes('url')) await forgetPosition(draft, row);
    if (changed.includes('sync_url')) {
      await draft.manager.query('update config.source_stream set synced_at = null where account = $1', [
        row.account,
      ]);
    }
  }

  /** Null for some that do not open: whatever is set instead is a change. */
  private readableHeaders(dataKeys: WrappedKey[], row: SourceRow): PutSource['headers'] | null {
    try {
      return openHeaders(this.vault, dataKeys, row, row.headers);
    } catch (error) {
      if (error instanceof VaultError) return null;
      throw error;
    }
  }

  private async shown(account: string): Promise<Source> {
    const [row] = await this.database.query<ShownRow[]>(SHOWN, [account]);
    if (!row) throw absent('source', ':account');
    return {
      id: row.id,
      account_id: account,
      url: row.url,
      headers: maskedHeaders(row.header_names),
      sync_url: row.sync_url,
      state: row.monitored ? (row.is_held ? row.state : { status: 'connecting' }) : { status: 'idle' },
      last_event_id: row.last_event_id,
      last_event_at: row.last_event_at?.toISOString() ?? null,
      dropped_events: Number(row.dropped_events),
      version: row.version,
      created_at: row.created_at.toISOString(),
      updated_at: row.updated_at.toISOString(),
    };
  }
}

// What a process wrote of its connection is true for as long as it holds the lease.
const SHOWN = `
  select s.id, s.url, s.header_names, s.sync_url, s.version, s.created_at, s.updated_at,
         st.state, st.last_event_id, st.last_event_at, st.dropped_events,
         coalesce(st.lease_until > now(), false) as is_held,
         exists (
           select 1 from config.monitoring_period p where p.account = s.account and p.ended_at is null
         ) as monitored
    from config.source s
    join config.source_stream st on st.account = s.account
   where s.account = $1 and s.deleted_at is null`;

interface ShownRow {
  id: string;
  url: string;
  header_names: string[];
  sync_url: string | null;
  version: number;
  created_at: Date;
  updated_at: Date;
  state: SourceState;
  last_event_id: string | null;
  last_event_at: Date | null;
  dropped_events: string;
  is_held: boolean;
  monitored: boolean;
}

function newStream(): string {
  return randomBytes(9).toString('base64url');
}

async function forgetPosition({ manager }: Draft, { account, stream }: SourceRow): Promise<void> {
  await manager.query(
    `update config.source_stream
        set stream = $2, last_event_id = null, last_event_at = null, dropped_events = 0, synced_at = null
      where account = $1`,
    [account, stream],
  );
}
