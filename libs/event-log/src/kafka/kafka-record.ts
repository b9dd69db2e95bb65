import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { StoredRecord } from '../port.js';

/** Copies the value: kafkajs's is a slice of the whole fetch, which a record kept for long would keep alive. */
export function toStoredRecord(message: KafkaMessage): StoredRecord {
  const record: StoredRecord = {
    key: message.key?.toString() ?? '',
    // A tombstone, written by an operator's tool, has no value.
    value: message.value ? Buffer.from(message.value) : Buffer.alloc(0),
    offset: Number(message.offset),
    appendedAt: Number(message.timestamp),
  };
  const meta = textOf(message.headers, 'meta');
  const trace = textOf(message.headers, 'trace');
  if (meta !== undefined) record.meta = meta;
  if (trace !== undefined) record.trace = trace;
  return record;
}

function textOf(headers: IHeaders | undefined, name: string): string | undefined {
  const value = headers?.[name];
  return value === undefined ? undefined : (Array.isArray(value) ? value[0] : value)?.toString();
}
