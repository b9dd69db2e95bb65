import pg from 'pg';
import { MAINTENANCE_LOCK } from './schema.js';

/**
 * What keeps the log from growing for ever: retention deletes the oldest records of a topic, compaction those that a
 * later record of the same key superseded, and of the last ones empty values (tombstones) older than a week. Groups
 * that nobody is in and that have committed nothing are forgotten. Any process may do it, one at a time; readers step
 * over the gaps, and offsets are never given again.
 */
const TOMBSTONE_DAYS = 7;
/** Small transactions: readers and appends go on between them, and little is lost when the process dies. */
const BATCH_RECORDS = 5_000;
/**
 * Everything here walks the log's key, from its beginning or through one partition. With statistics that are old, or none,
 * PostgreSQL takes a scan of the whole log for cheaper.
 */
const WALKS_ONLY = '-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off';

interface TopicRow {
  id: number;
  compacted: boolean;
  retention_ms: string | null;
}

/** Answers how many records went; undefined when another process is at it. */
export async function maintain(url: string): Promise<number | undefined> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'posthaste log maintenance',
    options: WALKS_ONLY,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows: locks } = await client.query<{ held: boolean }>(
      'select pg_try_advisory_lock($1, 0) as held',
      [MAINTENANCE_LOCK],
    );
    if (!locks[0]?.held) return undefined;
    const { rows: topics } = await client.query<TopicRow>(
      'select id, compacted, retention_ms from log.topic',
    );
    let deleted = 0;
    for (const topic of topics) {
      if (topic.compacted) deleted += await compact(client, topic.id);
      if (topic.retention_ms !== null) deleted += await retain(client, topic.id, Number(topic.retention_ms));
    }
    await forgetGroups(client);
    return deleted;
  } finally {
    await client.end();
  }
}

/**
 * What reads for a while under a name of its own leaves a group behind, and a killed process its member. The groups' rows
 * are taken before it is looked who is in them: a member may be joining. Should one join at this moment all the same,
 * its next heartbeat makes the rows anew.
 */
async function forgetGroups(client: pg.Client): Promise<void> {
  await client.query(
    `delete from log.group_member where lease_until < clock_timestamp() - interval '10 minutes'`,
  );
  await client.query('begin');
  const { rows } = await client.query<{ name: string }>(
    `select name from log.consumer_group g
     where not exists (select from log.group_member m where m.group_name = g.name)
       and not exists (select from log.committed c where c.group_name = g.name)
     for update skip locked`,
  );
  await client.query(
    `with gone as (
       delete from log.consumer_group g where g.name = any($1)
         and not exists (select from log.group_member m where m.group_name = g.name) returning name
     ) delete from log.partition_lease where group_name in (select name from gone)`,
    [rows.map(({ name }) => name)],
  );
  await client.query('commit');
}

async function compact(client: pg.Client, topic: number): Promise<number> {
  const { rows: heads } = await client.query<{ partition: number; next: string; changed: boolean }>(
    'select partition, next, next > compacted_to as changed from log.partition_head where topic = $1',
    [topic],
  );
  let deleted = 0;
  for (const { partition, next, changed } of heads) {
    if (changed) {
      const superseded = await client.query(
        `delete from log.record r
         using (select key, max("offset") as last from log.record where topic = $1 and partition = $2 group by key) k
         where r.topic = $1 and r.partition = $2 and r.key = k.key and r."offset" < k.last and r."offset" < $3`,
        [topic, partition, next],
      );
      deleted += superseded.rowCount ?? 0;
      await client.query(
        'update log.partition_head set compacted_to = $3 where topic = $1 and partition = $2',
        [topic, partition, next],
      );
    }
    // What is older than the last compaction is the last of its key.
    const tombstones = await client.query(
      `delete from log.record where topic = $1 and partition = $2 and "offset" < $3 and octet_length(value) = 0
         and appended_at < extract(epoch from clock_timestamp()) * 1000 - $4 * 86400000.0
         and not exists (select from log.record later where later.topic = $1 and later.partition = $2
                           and later.key = record.key and later."offset" > record."offset")`,
      [topic, partition, next, TOMBSTONE_DAYS],
    );
    deleted += tombstones.rowCount ?? 0;
  }
  return deleted;
}

async function retain(client: pg.Client, topic: number, retentionMs: number): Promise<number> {
  const { rows: heads } = await client.query<{ partition: number }>(
    'select partition from log.partition_head where topic = $1',
    [topic],
  );
  let deleted = 0;
  for (const { partition } of heads) {
    for (;;) {
      const count = await retainOnce(client, topic, partition, retentionMs);
      deleted += count;
      if (count < BATCH_RECORDS) break;
    }
  }
  return deleted;
}

/** Only a prefix goes: a younger record keeps all behind it. Records and start offset change together. */
async function retainOnce(
  client: pg.Client,
  topic: number,
  partition: number,
  retentionMs: number,
): Promise<number> {
  const keepFrom = await firstToKeep(client, topic, partition, retentionMs);
  if (keepFrom === null) return 0;
  const { rowCount } = await client.query(
    `with moved as (
       update log.partition_head set start = $3 where topic = $1 and partition = $2 and start < $3
     )
     delete from log.record where topic = $1 and partition = $2 and "offset" < $3`,
    [topic, partition, keepFrom],
  );
  return rowCount ?? 0;
}

/**
 * The offset behind the expired records at a partition's beginning, of a batch of them at most; null when there are none.
 * That is so most of the time, and the first record says it alone: the batch is read only behind one that has expired.
 */
async function firstToKeep(
  client: pg.Client,
  topic: number,
  partition: number,
  retentionMs: number,
): Promise<string | null> {
  const { rows } = await client.query<{ keep_from: string | null }>(
    `with until as materialized (
       select extract(epoch from clock_timestamp()) * 1000 - $3 as ms
     ), first as materialized (
       select appended_at from log.record where topic = $1 and partition = $2 order by "offset" limit 1
     ), oldest as (
       select "offset", appended_at < (select ms from until) as expired
       from log.record
       where topic = $1 and partition = $2 and (select appended_at < ms from first, until)
       order by "offset" limit $4
     )
     select coalesce(min("offset") filter (where not expired), max("offset") + 1) as keep_from from oldest`,
    [topic, partition, retentionMs, BATCH_RECORDS],
  );
  return rows[0]?.keep_from ?? null;
}
