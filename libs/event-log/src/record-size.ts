import { EventLogError } from './errors.js';
import type { OutgoingRecord } from './port.js';

/** One record's limit in every adapter: what a Kafka broker takes by default, less room for its own framing. */
const MAX_RECORD_BYTES = 1_000_000;
/** What is not text or value: array slots, the promise, the protocol's framing. Keeps empty records from being free. */
const OVERHEAD_BYTES = 100;

export function recordBytes(record: Omit<OutgoingRecord, 'topic'>): number {
  const { key, meta, trace, value } = record;
  return value.length + key.length + (meta?.length ?? 0) + (trace?.length ?? 0) + OVERHEAD_BYTES;
}

/** What an append takes of the producer's memory; throws `record_too_large` when one record can never be taken. */
export function appendBytes(records: OutgoingRecord[]): number {
  let total = 0;
  for (const record of records) {
    const bytes = recordBytes(record);
    if (bytes > MAX_RECORD_BYTES) {
      const message = `a record of ${bytes} bytes for ${record.topic.name} is above the limit of ${MAX_RECORD_BYTES}`;
      throw new EventLogError('record_too_large', message);
    }
    total += bytes;
  }
  return total;
}
