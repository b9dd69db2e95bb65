import { type AuditEntry, type ConfigState, newId, type Topic, topics } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { DataSource, EntityManager, EntityTarget } from 'typeorm';
import type { Author } from '../access/principal.js';

/**
 * Every change of configuration goes through here, and is whole or absent: the entity's row, its immutable version,
 * the audit entry, and the outbox rows that a relay appends to the log are one transaction. Nothing is appended to the
 * log by a request.
 *
 * Order. A change of an account or of its endpoints holds the account's row from its first read to the commit, one of
 * a tenant or of its event types the tenant's row. So versions of one entity commit in order, and their outbox rows
 * get their ids in that order too: the relay relies on it. Rows are locked tenant first, then account.
 *
 * The locks are FOR NO KEY UPDATE: a plain FOR UPDATE would also stop foreign-key checks and so deadlock with them.
 */
export interface Versioned {
  id: string;
  /** 0 before the first write. */
  version: number;
  updatedAt: Date;
}

/** What the changes of one kind of entity have in common; declared beside the entity. */
export interface EntityKind<E extends Versioned> {
  name: 'tenant' | 'account' | 'endpoint' | 'event_type' | 'api_key' | 'source';
  target: EntityTarget<E>;
  place(row: E): { tenant: string; account: string | null };
  /** Raises the counter that caches of this kind compare, and answers it. */
  raise(manager: EntityManager, row: E): Promise<number>;
  /** What the version row keeps. */
  state(row: E): Record<string, unknown>;
  /** What the topic `config` carries; null for kinds only management-api needs. */
  published(row: E): ConfigState | null;
  /** What every change of this kind brings with it, in the same transaction; `changed` is null for a new entity. */
  follow?(draft: Draft, row: E, changed: readonly string[] | null): Promise<void>;
}

const DEADLOCK = '40P01';
const UNIQUE_VIOLATION = '23505';
const TRIES = 3;

export class Changes {
  constructor(private readonly database: DataSource) {}

  /** Runs `work` as one change; what it throws undoes all of it. */
  async make<T>(author: Author, work: (draft: Draft) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.database.transaction(async (manager) => {
          const draft = new Draft(manager, author);
          const result = await work(draft);
          await draft.finish();
          return result;
        });
      } catch (error) {
        if (attempt === TRIES || sqlState(error) !== DEADLOCK) throw error;
      }
    }
  }
}

/** True for what a query threw because a unique index already has the value. */
export function isTaken(error: unknown): boolean {
  return sqlState(error) === UNIQUE_VIOLATION;
}

/** The PostgreSQL error code of what a query threw. */
function sqlState(error: unknown): string | undefined {
  return (error as { driverError?: { code?: string } } | null)?.driverError?.code;
}

interface OutboxRow {
  topic: string;
  key: string;
  value: string;
}

/** One change in the making. */
export class Draft {
  /** Milliseconds only: a list's cursor carries them, and a finer time would not equal itself. */
  readonly at = new Date();
  private readonly outbox: OutboxRow[] = [];

  constructor(
    readonly manager: EntityManager,
    private readonly author: Author,
  ) {}

  /**
   * Writes the row as its next version. An update that changes nothing (`changed` empty) writes nothing, so that a
   * repeated request leaves no trace.
   */
  async write<E extends Versioned>(
    kind: EntityKind<E>,
    row: E,
    action: string,
    changed: string[],
  ): Promise<void> {
    const isNew = row.version === 0;
    if (!isNew && changed.length === 0) return;
    row.version += 1;
    row.updatedAt = this.at;
    const configVersion = await kind.raise(this.manager, row);
    if (isNew) await this.manager.insert(kind.target, row as never);
    else await this.update(kind, row);
    const { tenant, account } = kind.place(row);
    const auditId = await this.audit(
      tenant,
      action,
      { kind: kind.name, id: row.id, version: row.version },
      changed,
    );
    await this.manager.query(
      `insert into config.entity_version (entity_id, version, kind, tenant, account, config_version, state, audit_id, at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        row.id,
        row.version,
        kind.name,
        tenant,
        account,
        configVersion,
        JSON.stringify(kind.state(row)),
        auditId,
        this.at,
      ],
    );
    const published = kind.published(row);
    if (published) this.tell(topics.config, published);
    await kind.follow?.(this, row, isNew ? null : changed);
  }

  /** Appends an item to a topic, in order, once the change is committed. */
  tell<T>(topic: Topic<T>, item: T): void {
    const { key, value } = topic.encode(item);
    this.outbox.push({ topic: topic.name, key, value: value.toString() });
  }

  /** Records who did what, without a new version: for a secret that was read. Answers the entry's id. */
  async audit(
    tenant: string,
    action: string,
    entity: AuditEntry['entity'],
    changed: string[],
  ): Promise<string> {
    const entry: AuditEntry = {
      type: 'ConfigurationChanged',
      v: 1,
      id: newId('audit', this.at.getTime()),
      tenant,
      ...this.author,
      at: this.at.getTime(),
      action,
      entity,
      changed,
    };
    await this.manager.query(
      'insert into config.audit_entry (id, tenant, entry, at) values ($1, $2, $3, $4)',
      [entry.id, tenant, JSON.stringify(entry), this.at],
    );
    this.tell(topics.audit, entry);
    return entry.id;
  }

  /** Writes the outbox last, while the locks are held, and wakes the relay at commit. */
  async finish(): Promise<void> {
    if (this.outbox.length === 0) return;
    await this.manager.query(
      `insert into config.outbox (topic, key, value)
       select topic, key, value
         from unnest($1::text[], $2::text[], $3::text[]) with ordinality as row (topic, key, value, place)
        order by place`,
      [
        this.outbox.map(({ topic }) => topic),
        this.outbox.map(({ key }) => key),
        this.outbox.map(({ value }) => value),
      ],
    );
    await this.manager.query(`select pg_notify('config_outbox', '')`);
  }

  private async update<E extends Versioned>(kind: EntityKind<E>, row: E): Promise<void> {
    const { affected } = await this.manager.update(
      kind.target,
      { id: row.id, version: row.version - 1 },
      row as never,
    );
    // The row lock makes this impossible, unless a caller forgot to take it.
    if (affected !== 1) throw new Problem('precondition_failed', 'It was changed at the same moment.');
  }
}
