import type { FetchedBatch, FetchLimits } from '../fetch-loop.js';
import type { Position, StoredRecord } from '../port.js';
import type { Connection } from './connection.js';
import type { TopicCatalog } from './topic-catalog.js';

/**
 * One statement reads on in all partitions asked for. Limits are per partition, so that none starves another; the
 * size of a value is known without reading it. A partition's head comes along from the same snapshot: what was not
 * cut short was read to the head, over gaps too, so that a compacted end does not look like records still to come.
 */
const READ = `
select w.t, w.p, h.next, r."offset", r.appended_at, r.key, r.meta, r.trace, r.value
from unnest($1::smallint[], $2::smallint[], $3::bigint[]) as w(t, p, o)
join log.partition_head h on h.topic = w.t and h.partition = w.p
left join lateral (
  select * from (
    select x.*, sum(octet_length(x.value) + coalesce(octet_length(x.meta), 0)) over (order by x."offset") as read_bytes
    from (
      select * from log.record
      where topic = w.t and partition = w.p and "offset" >= w.o order by "offset" limit $4
    ) x
  ) y
  where y.read_bytes - octet_length(y.value) - coalesce(octet_length(y.meta), 0) < $5
) r on true
where h.next > w.o
order by w.t, w.p, r."offset"`;

type Row = [number, number, string, string | null, string, string, string | null, string | null, Buffer];

const READ_TIMEOUT_MS = 10_000;

export async function readRecords(
  connection: Connection,
  catalog: TopicCatalog,
  wanted: Position[],
  limits: FetchLimits,
): Promise<FetchedBatch[]> {
  const known = wanted.filter((position) => catalog.get(position.topic) !== undefined);
  const values = [
    known.map((position) => catalog.get(position.topic)?.id),
    known.map((position) => position.partition),
    known.map((position) => position.offset),
    limits.recordsPerPartition,
    limits.bytesPerPartition,
  ];
  const rows = await connection.query<Row>({ name: 'read', text: READ, values }, READ_TIMEOUT_MS);
  const batches: FetchedBatch[] = [];
  let batch: FetchedBatch | undefined;
  let bytes = 0;
  for (const [topicId, partition, end, offset, appendedAt, key, meta, trace, value] of rows) {
    const topic = catalog.byId(topicId)?.name ?? '';
    if (batch?.topic !== topic || batch.partition !== partition) {
      batch = { topic, partition, records: [], next: Number(end), more: false };
      bytes = 0;
      batches.push(batch);
    }
    if (offset === null) continue;
    const record: StoredRecord = { offset: Number(offset), appendedAt: Number(appendedAt), key, value };
    if (meta !== null) record.meta = meta;
    if (trace !== null) record.trace = trace;
    batch.records.push(record);
    bytes += value.length + Buffer.byteLength(meta ?? '');
    if (batch.records.length >= limits.recordsPerPartition || bytes >= limits.bytesPerPartition) {
      batch.next = record.offset + 1;
      batch.more = batch.next < Number(end);
    }
  }
  return batches;
}
