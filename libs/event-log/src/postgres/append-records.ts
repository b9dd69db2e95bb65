import { int2Array, int4Array, textArray } from '@posthaste/pg-arrays';
import type { OutgoingRecord } from '../port.js';
import type { Connection } from './connection.js';
import { announce } from './schema.js';
import type { KnownTopic } from './topic-catalog.js';

/** A record with its place. */
export interface PlacedRecord {
  topic: KnownTopic;
  partition: number;
  record: OutgoingRecord;
}

/**
 * One statement and one commit for a batch of many topics. It locks the heads of the partitions in (topic, partition)
 * order, so that two batches never wait for each other in a circle, numbers the records, moves the heads and announces
 * each topic once to those who listen. The records come sorted by partition: records `first` to `beyond - 1` are one
 * partition's. All values travel as one parameter, and each is cut out of it: finding it in an array would mean to walk
 * over those before it.
 */
const APPEND = `
with head as materialized (
  select h.topic, h.partition, h.next as base, p.first, p.beyond
  from unnest($1::smallint[], $2::smallint[], $3::int[], $4::int[]) as p(topic, partition, first, beyond)
  join log.partition_head h on h.topic = p.topic and h.partition = p.partition
  order by h.topic, h.partition for update of h
), moved as (
  update log.partition_head h set next = d.base + d.beyond - d.first from head d
  where h.topic = d.topic and h.partition = d.partition
), inserted as (
  insert into log.record (topic, partition, "offset", appended_at, key, meta, trace, value)
  select d.topic, d.partition, d.base + i - d.first, extract(epoch from statement_timestamp()) * 1000,
    ($5::text[])[i], ($6::text[])[i], ($7::text[])[i],
    substring($9::bytea from ($8::int[])[i] for ($8::int[])[i + 1] - ($8::int[])[i])
  from head d, generate_series(d.first, d.beyond - 1) i
)
select d.topic, d.partition, d.base, (${announce('$1::smallint[]')}) from head d`;

/** Answers the records' offsets, in their order. */
export async function appendRecords(
  connection: Connection,
  batch: PlacedRecord[],
  timeoutMs: number,
): Promise<number[]> {
  const runs = runsOf(batch);
  const sorted = runs.flatMap((run) => run.places.map((place) => (batch[place] as PlacedRecord).record));
  const starts = [1];
  for (const { value } of sorted) starts.push((starts.at(-1) as number) + value.length);
  let counted = 1;
  const firsts = runs.map(({ places }) => (counted += places.length) - places.length);
  const values = [
    int2Array(runs.map((run) => run.topic.id)),
    int2Array(runs.map((run) => run.partition)),
    int4Array(firsts),
    int4Array(runs.map(({ places }, i) => (firsts[i] as number) + places.length)),
    textArray(sorted.map((record) => record.key)),
    textArray(sorted.map((record) => record.meta ?? null)),
    textArray(sorted.map((record) => record.trace ?? null)),
    int4Array(starts),
    sorted.length === 1 ? sorted[0]?.value : Buffer.concat(sorted.map((record) => record.value)),
  ];
  const rows = await connection.query<[number, number, string]>(
    { name: 'append', text: APPEND, values },
    timeoutMs,
  );
  const bases = new Map(rows.map(([topic, partition, base]) => [slotOf(topic, partition), Number(base)]));
  const offsets = new Array<number>(batch.length);
  for (const { topic, partition, places } of runs) {
    const base = bases.get(slotOf(topic.id, partition));
    if (base === undefined) throw new Error(`partition ${partition} of topic ${topic.name} has no head`);
    places.forEach((place, i) => (offsets[place] = base + i));
  }
  return offsets;
}

/** The records of one partition, by their places in the batch. */
interface Run {
  topic: KnownTopic;
  partition: number;
  places: number[];
}

function runsOf(batch: PlacedRecord[]): Run[] {
  const runs = new Map<number, Run>();
  batch.forEach(({ topic, partition }, place) => {
    const slot = slotOf(topic.id, partition);
    const run = runs.get(slot);
    if (run) run.places.push(place);
    else runs.set(slot, { topic, partition, places: [place] });
  });
  return [...runs.values()];
}

const slotOf = (topic: number, partition: number): number => topic * 65_536 + partition;
