import type { OutgoingRecord } from '../port.js';
import type { Connection } from './connection.js';
import { RECORDS_CHANNEL } from './schema.js';

/** A record with its place; the topic by its id. */
export interface PlacedRecord {
  topic: number;
  partition: number;
  record: OutgoingRecord;
}

/**
 * One statement and one commit for a batch of many topics. It locks the heads of the partitions in (topic, partition)
 * order, so that two batches never wait for each other in a circle, moves them, numbers the records and notifies once.
 * All values travel as one parameter: an array of them would be written as hex text, twice the bytes.
 */
const APPEND = `
with input as (
  select t, p, k, m, tr, ord,
    substring($7::bytea from (sum(bytes) over (order by ord))::int - bytes + 1 for bytes) as v
  from unnest($1::smallint[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::int[])
    with ordinality as i(t, p, k, m, tr, bytes, ord)
), counted as (
  select t, p, count(*) as n from input group by t, p
), locked as materialized (
  select h.topic, h.partition, c.n from log.partition_head h join counted c on h.topic = c.t and h.partition = c.p
  order by h.topic, h.partition for update of h
), moved as (
  update log.partition_head h set next = h.next + l.n from locked l
  where h.topic = l.topic and h.partition = l.partition
  returning h.topic, h.partition, h.next - l.n as base
), inserted as (
  insert into log.record (topic, partition, "offset", appended_at, key, meta, trace, value)
  select i.t, i.p, m.base + row_number() over (partition by i.t, i.p order by i.ord) - 1,
    statement_timestamp(), i.k, i.m, i.tr, i.v
  from input i join moved m on m.topic = i.t and m.partition = i.p
)
select topic, partition, base, (select pg_notify('${RECORDS_CHANNEL}', $8)) is null from moved`;

/** Answers the records' offsets, in their order. */
export async function appendRecords(
  connection: Connection,
  batch: PlacedRecord[],
  timeoutMs: number,
): Promise<number[]> {
  const topics = batch.map((placed) => placed.topic);
  const values = [
    topics,
    batch.map((placed) => placed.partition),
    batch.map((placed) => placed.record.key),
    batch.map((placed) => placed.record.meta ?? null),
    batch.map((placed) => placed.record.trace ?? null),
    batch.map((placed) => placed.record.value.length),
    Buffer.concat(batch.map((placed) => placed.record.value)),
    [...new Set(topics)].join(','),
  ];
  const rows = await connection.query<[number, number, string]>(
    { name: 'append', text: APPEND, values },
    timeoutMs,
  );
  const next = new Map(rows.map(([topic, partition, base]) => [topic * 65_536 + partition, Number(base)]));
  return batch.map(({ topic, partition }) => {
    const slot = topic * 65_536 + partition;
    const offset = next.get(slot);
    if (offset === undefined) throw new Error(`partition ${partition} of topic ${topic} has no head`);
    next.set(slot, offset + 1);
    return offset;
  });
}
