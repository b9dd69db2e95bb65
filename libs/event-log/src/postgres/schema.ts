import pg from 'pg';
import type { TopicLayout } from '../port.js';

/**
 * The tables of the log, in a schema of their own. Every statement may run again at any time.
 *
 * - `topic`, `partition_head`: what there is, and whether anybody ever asked to be told of it. A head holds the next
 *   offset of its partition, and the oldest one kept; locking it is what makes offsets gapless and appends to one
 *   partition wait for each other.
 * - `record`: `appended_at` is in ms since 1970, as it leaves the log. Values are kept uncompressed outside the row once
 *   they are large (`external`): most of the work on a record does not touch its value.
 * - `group_member`, `partition_lease`, `committed`: who reads what, and how far. A member lives while its lease runs
 *   and its session holds its advisory lock (MEMBER_LOCKS, member); the lock goes with a killed process at once, the
 *   lease covers a frozen one. A partition lease is for partition i of every topic of the group.
 */
/** Before a topic's name: the channel that announces its records, without a payload. */
const TOPIC_CHANNEL = 'log_topic_';
export const topicChannel = (topic: string): string => `${TOPIC_CHANNEL}${topic}`;
export const GROUPS_CHANNEL = 'log_groups';

/** Also has what is listened to announced from now on. */
export function listenTo(channels: Iterable<string>): string {
  const names = [...channels];
  const topics = names.map((name) => pg.escapeLiteral(name)).join(', ');
  return `${names.map((name) => `listen ${pg.escapeIdentifier(name)}`).join(';')};
    update log.topic set announced = true where '${TOPIC_CHANNEL}' || name in (${topics}) and not announced`;
}

/** Announces that the topics with these ids got records, where anybody ever asked to be told. */
export const announce = (ids: string): string =>
  `select count(pg_notify('${TOPIC_CHANNEL}' || name, '')) from log.topic where id = any(${ids}) and announced`;

/** First halves of advisory locks. */
export const MEMBER_LOCKS = 0x706f7301;
const SCHEMA_LOCK = 0x706f7302;
export const MAINTENANCE_LOCK = 0x706f7303;

const TABLES = `
create schema if not exists log;

create table if not exists log.topic (
  id smallint generated always as identity primary key,
  name text not null unique,
  partitions smallint not null,
  compacted boolean not null,
  retention_ms bigint
);
-- Asked for first: the lock of a change that is not needed would wait for all who read, and all others for it.
do $$ begin
  if not exists (select from pg_attribute where attrelid = 'log.topic'::regclass and attname = 'announced') then
    alter table log.topic add announced boolean not null default false;
  end if;
end $$;

create table if not exists log.partition_head (
  topic smallint not null references log.topic,
  partition smallint not null,
  next bigint not null default 0,
  start bigint not null default 0,
  compacted_to bigint not null default 0,
  primary key (topic, partition)
) with (fillfactor = 40);

create table if not exists log.record (
  topic smallint not null,
  partition smallint not null,
  "offset" bigint not null,
  appended_at bigint not null,
  key text not null,
  meta text,
  trace text,
  value bytea not null,
  primary key (topic, partition, "offset")
);
-- Asked for first, as above. What was appended is vacuumed by count and not by share: while its pages are in memory, and
-- before a checkpoint has most of them written to the WAL in full for it.
do $$ begin
  if (select reloptions is null from pg_class where oid = 'log.record'::regclass) then
    alter table log.record
      alter column value set storage external,
      set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000);
  end if;
end $$;

create table if not exists log.consumer_group (name text primary key);

create sequence if not exists log.member_number as int cycle;

create table if not exists log.group_member (
  member int primary key,
  group_name text not null,
  lease_until timestamptz not null
);

create table if not exists log.partition_lease (
  group_name text not null,
  partition smallint not null,
  owner int,
  primary key (group_name, partition)
);

create table if not exists log.committed (
  group_name text not null,
  topic smallint not null,
  partition smallint not null,
  next bigint not null,
  metadata text not null,
  primary key (group_name, topic, partition)
);
`;

/**
 * One heartbeat of a member: renew its lease, strike out dead members, claim partitions that are due to it and free.
 * Answers the group's partitions, their owners and whose they are to be (partition i: the i-mod-n-th member).
 * In the database because it must be one step under one lock; members of a group take turns by the group's row.
 */
const HEARTBEAT = `
create or replace function log.heartbeat(of_group text, me int, topics text[], lease_ms int, judge_locks boolean)
returns table (at_partition int, owned_by int, due_to int)
language plpgsql as $heartbeat$
declare
  members int[];
  width int;
begin
  insert into log.consumer_group values (of_group) on conflict do nothing;
  perform from log.consumer_group where name = of_group for update;

  update log.group_member set lease_until = clock_timestamp() + lease_ms * interval '1 ms' where member = me;
  if not found then
    insert into log.group_member values (me, of_group, clock_timestamp() + lease_ms * interval '1 ms');
    perform pg_notify('${GROUPS_CHANNEL}', of_group);
  end if;

  delete from log.group_member m
  where m.group_name = of_group and m.member <> me and (
    m.lease_until < clock_timestamp()
    or judge_locks and not exists (
      select from pg_locks l
      where l.locktype = 'advisory' and l.classid = ${MEMBER_LOCKS} and l.objid = m.member::bigint and l.objsubid = 2
        and l.database = (select oid from pg_database where datname = current_database()) and l.granted));
  if found then
    perform pg_notify('${GROUPS_CHANNEL}', of_group);
  end if;

  select array_agg(m.member order by m.member) into members from log.group_member m where m.group_name = of_group;
  select coalesce(max(t.partitions), 0) into width from log.topic t where t.name = any(topics);
  if (select count(*) from log.partition_lease l where l.group_name = of_group) < width then
    insert into log.partition_lease (group_name, partition)
    select of_group, i from generate_series(0, width - 1) i on conflict do nothing;
  end if;

  update log.partition_lease l set owner = me
  where l.group_name = of_group and l.partition < width
    and members[l.partition % cardinality(members) + 1] = me
    and (l.owner is null or l.owner <> all(members));

  return query
  select l.partition::int, l.owner, members[l.partition % cardinality(members) + 1]
  from log.partition_lease l where l.group_name = of_group and l.partition < width;
end
$heartbeat$;
`;

export async function ensureSchema(client: pg.Client): Promise<void> {
  await client.query('begin');
  await client.query('select pg_advisory_xact_lock($1, 0)', [SCHEMA_LOCK]);
  await client.query(TABLES);
  await client.query(HEARTBEAT);
  await client.query('commit');
}

export async function ensureTopics(
  client: pg.Client,
  topics: TopicLayout[],
  scale: 'production' | 'single',
): Promise<void> {
  await client.query('begin');
  await client.query('select pg_advisory_xact_lock($1, 1)', [SCHEMA_LOCK]);
  await client.query(
    `insert into log.topic (name, partitions, compacted, retention_ms)
     select * from unnest($1::text[], $2::smallint[], $3::boolean[], $4::bigint[]) on conflict (name) do nothing`,
    [
      topics.map((topic) => topic.name),
      topics.map((topic) => topic.partitions[scale]),
      topics.map((topic) => topic.cleanup.policy === 'compact'),
      topics.map((topic) => (topic.cleanup.policy === 'delete' ? topic.cleanup.retentionMs : null)),
    ],
  );
  await client.query(
    `insert into log.partition_head (topic, partition)
     select id, i from log.topic, generate_series(0, partitions - 1) i where name = any($1) on conflict do nothing`,
    [topics.map((topic) => topic.name)],
  );
  await client.query('commit');
}
