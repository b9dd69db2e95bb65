/**
 * Arrays as PostgreSQL reads them fastest: in its binary form. node-postgres writes an array as text, every element
 * quoted and escaped, which PostgreSQL takes apart character by character; a Buffer it hands on as it is.
 *
 * The statement must name the type (`$1::text[]`), and exactly this one: PostgreSQL checks the elements' type. A number
 * that does not fit its type leaves the array as it came, for PostgreSQL to refuse it in its own words.
 *
 * The form (array_recv in PostgreSQL's source): dimensions, whether there are nulls, the elements' type, length, first
 * index; then each element as its length and its bytes, a null as length -1.
 */
export type ArrayParameter<T> = Buffer | readonly (T | null)[];

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;

export function textArray(values: readonly (string | null)[]): Buffer {
  let bytes = 0;
  for (const value of values) if (value !== null) bytes += Buffer.byteLength(value);
  const array = arrayOf(25, values, bytes);
  let at = HEADER_BYTES;
  for (const value of values) {
    const start = at + LENGTH_BYTES;
    const length = value === null ? -1 : array.write(value, start);
    array.writeInt32BE(length, at);
    at = start + Math.max(0, length);
  }
  return array;
}

export function byteaArray(values: readonly (Buffer | null)[]): Buffer {
  let bytes = 0;
  for (const value of values) if (value !== null) bytes += value.length;
  const array = arrayOf(17, values, bytes);
  let at = HEADER_BYTES;
  for (const value of values) {
    array.writeInt32BE(value === null ? -1 : value.length, at);
    at += LENGTH_BYTES;
    if (value !== null) at += value.copy(array, at);
  }
  return array;
}

export function boolArray(values: readonly (boolean | null)[]): Buffer {
  return fixedArray(16, 1, values, (array, value, at) => array.writeUInt8(value ? 1 : 0, at));
}

export function int2Array(values: readonly (number | null)[]): ArrayParameter<number> {
  if (!areIntegersWithin(values, 2 ** 15)) return values;
  return fixedArray(21, 2, values, (array, value, at) => array.writeInt16BE(value, at));
}

export function int4Array(values: readonly (number | null)[]): ArrayParameter<number> {
  if (!areIntegersWithin(values, 2 ** 31)) return values;
  return fixedArray(23, 4, values, (array, value, at) => array.writeInt32BE(value, at));
}

export function int8Array(values: readonly (number | null)[]): ArrayParameter<number> {
  if (!areIntegersWithin(values, 2 ** 53)) return values;
  return fixedArray(20, 8, values, (array, value, at) => {
    const high = Math.floor(value / 2 ** 32);
    array.writeInt32BE(high, at);
    array.writeUInt32BE(value - high * 2 ** 32, at + 4);
  });
}

export function float8Array(values: readonly (number | null)[]): Buffer {
  // Adding 0 makes -0 the 0 it is as text.
  return fixedArray(701, 8, values, (array, value, at) => array.writeDoubleBE(value + 0, at));
}

function fixedArray<T>(
  type: number,
  width: number,
  values: readonly (T | null)[],
  write: (array: Buffer, value: T, at: number) => void,
): Buffer {
  let bytes = 0;
  for (const value of values) if (value !== null) bytes += width;
  const array = arrayOf(type, values, bytes);
  let at = HEADER_BYTES;
  for (const value of values) {
    array.writeInt32BE(value === null ? -1 : width, at);
    at += LENGTH_BYTES;
    if (value === null) continue;
    write(array, value, at);
    at += width;
  }
  return array;
}

/** Its header, with room for the elements' lengths and `bytes` of their own. */
function arrayOf(type: number, values: readonly unknown[], bytes: number): Buffer {
  const array = Buffer.allocUnsafe(HEADER_BYTES + values.length * LENGTH_BYTES + bytes);
  array.writeInt32BE(1, 0);
  array.writeInt32BE(values.includes(null) ? 1 : 0, 4);
  array.writeInt32BE(type, 8);
  array.writeInt32BE(values.length, 12);
  array.writeInt32BE(1, 16);
  return array;
}

function areIntegersWithin(values: readonly (number | null)[], limit: number): boolean {
  return values.every(
    (value) => value === null || (Number.isInteger(value) && value >= -limit && value < limit),
  );
}
