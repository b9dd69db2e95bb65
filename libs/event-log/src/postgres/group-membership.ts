import { EventLogError } from '../errors.js';
import { partitionKey } from '../partition-key.js';
import type { AssignedPartition, Commit } from '../port.js';
import type { Connection } from './connection.js';
import { GROUPS_CHANNEL, MEMBER_LOCKS } from './schema.js';
import type { TopicCatalog } from './topic-catalog.js';

/** One member's statements on its group. All times are the database's: members' clocks may differ. */
export interface PartitionShare {
  index: number;
  owner: number | null;
  dueTo: number;
}

const TIMEOUT_MS = 5_000;

export class GroupMembership {
  readonly #connection: Connection;
  readonly #catalog: TopicCatalog;
  readonly #group: string;
  readonly #topics: string[];
  readonly #leaseMs: number;
  #member = 0;
  #locked = false;

  constructor(
    connection: Connection,
    catalog: TopicCatalog,
    group: string,
    topics: string[],
    leaseMs: number,
  ) {
    this.#connection = connection;
    this.#catalog = catalog;
    this.#group = group;
    this.#topics = topics;
    this.#leaseMs = leaseMs;
  }

  get member(): number {
    return this.#member;
  }

  /** The connection was made anew, and the member's lock went with the old one. */
  lockWasLost(): void {
    this.#locked = false;
  }

  /** Joins at the first call. */
  async heartbeat(judgeLocks: boolean): Promise<PartitionShare[]> {
    if (this.#member === 0) {
      const rows = await this.#query<[number]>(`select nextval('log.member_number')::int`, []);
      this.#member = rows[0]?.[0] ?? 0;
    }
    if (!this.#locked) {
      // Our own last session may hold it until the server notices that it is gone: then the next heartbeat asks again.
      const rows = await this.#query<[boolean]>('select pg_try_advisory_lock($1, $2)', [
        MEMBER_LOCKS,
        this.#member,
      ]);
      this.#locked = rows[0]?.[0] ?? false;
    }
    const rows = await this.#query<[number, number | null, number]>(
      'select at_partition, owned_by, due_to from log.heartbeat($1, $2, $3, $4, $5)',
      [this.#group, this.#member, this.#topics, this.#leaseMs, judgeLocks],
    );
    return rows.map(([index, owner, dueTo]) => ({ index, owner, dueTo }));
  }

  /** The partitions of these indexes in every topic, with what the group committed last. */
  async partitions(indexes: number[]): Promise<AssignedPartition[]> {
    const topics = await this.#catalog.find(this.#topics);
    const rows = await this.#query<[number, number, string, string]>(
      'select topic, partition, next, metadata from log.committed where group_name = $1 and partition = any($2)',
      [this.#group, indexes],
    );
    return topics.flatMap(({ id, name, partitions }) =>
      indexes
        .filter((index) => index < partitions)
        .map((partition) => {
          const row = rows.find(([topic, index]) => topic === id && index === partition);
          return { topic: name, partition, committed: row ? Number(row[2]) : null, metadata: row?.[3] ?? '' };
        }),
    );
  }

  /**
   * Fenced: only what this member owns is written, and the shared lock on the lease makes a take-over wait for it.
   */
  async commit(commits: Commit[]): Promise<void> {
    const rows = await this.#query<[number, number]>(
      `with asked as (
         select * from unnest($3::smallint[], $4::smallint[], $5::bigint[], $6::text[]) as a(t, p, n, m)
       ), owned as materialized (
         select l.partition from log.partition_lease l
         where l.group_name = $1 and l.owner = $2 and l.partition = any($4::smallint[])
         order by l.partition for share
       )
       insert into log.committed (group_name, topic, partition, next, metadata)
       select $1, t, p, n, m from asked where p in (select partition from owned) order by t, p
       on conflict (group_name, topic, partition) do update set next = excluded.next, metadata = excluded.metadata
       returning topic, partition`,
      [
        this.#group,
        this.#member,
        commits.map((commit) => this.#catalog.get(commit.topic)?.id ?? -1),
        commits.map((commit) => commit.partition),
        commits.map((commit) => commit.next),
        commits.map((commit) => commit.metadata),
      ],
      'commit',
    );
    if (rows.length < commits.length) {
      const kept = new Set(
        rows.map(([topic, partition]) => `${this.#catalog.byId(topic)?.name}/${partition}`),
      );
      const lost = commits.map(partitionKey).filter((name) => !kept.has(name));
      throw new EventLogError('ownership_lost', `${this.#group}: not ours any more: ${lost.join()}`);
    }
  }

  /** Gives partition indexes up, and tells the others. */
  async release(indexes: number[]): Promise<void> {
    await this.#query(
      `with released as (
         update log.partition_lease set owner = null
         where group_name = $1 and owner = $2 and partition = any($3) returning partition
       ) select count(*), pg_notify('${GROUPS_CHANNEL}', $1) from released`,
      [this.#group, this.#member, indexes],
    );
  }

  async leave(): Promise<void> {
    if (this.#member === 0) return;
    await this.#query(
      `with gone as (delete from log.group_member where member = $2 returning member),
            released as (update log.partition_lease set owner = null where group_name = $1 and owner = $2)
       select pg_notify('${GROUPS_CHANNEL}', $1), pg_advisory_unlock($3, $2)`,
      [this.#group, this.#member, MEMBER_LOCKS],
    );
  }

  #query<R extends unknown[]>(text: string, values: unknown[], name?: string): Promise<R[]> {
    return this.#connection.query<R>({ text, values, ...(name === undefined ? {} : { name }) }, TIMEOUT_MS);
  }
}
