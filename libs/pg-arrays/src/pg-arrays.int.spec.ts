import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import fc from 'fast-check';
import pg from 'pg';
import {
  boolArray,
  byteaArray,
  float8Array,
  int2Array,
  int4Array,
  int8Array,
  textArray,
} from './pg-arrays.js';

let postgres: TemporaryPostgres;
let client: pg.Client;

beforeAll(async () => {
  postgres = await startTemporaryPostgres('pg-arrays');
  client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await postgres.remove();
});

/** As PostgreSQL understands the parameter, each element in its own text. */
async function read(type: string, parameter: unknown): Promise<(string | null)[]> {
  const { rows } = await client.query<{ value: string | null }>(
    `select v::text as value from unnest($1::${type}[]) with ordinality as a (v, n) order by n`,
    [parameter],
  );
  return rows.map(({ value }) => value);
}

const nullable = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<(T | null)[]> =>
  fc.array(fc.option(arbitrary, { freq: 4 }), { maxLength: 40 });
const int = (bits: number): fc.Arbitrary<number> => fc.integer({ min: -(2 ** bits), max: 2 ** bits - 1 });
// PostgreSQL has no text with a NUL, written either way.
const text = fc.string({ unit: 'binary', maxLength: 60 }).map((value) => value.replaceAll('\0', ''));

describe('an array in binary form', () => {
  it.each<[string, (values: never[]) => unknown, fc.Arbitrary<unknown[]>]>([
    ['text', textArray, nullable(text)],
    ['bytea', byteaArray, nullable(fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)))],
    ['boolean', boolArray, nullable(fc.boolean())],
    ['smallint', int2Array, nullable(int(15))],
    ['int', int4Array, nullable(int(31))],
    ['bigint', int8Array, nullable(fc.maxSafeInteger())],
    ['float8', float8Array, nullable(fc.double())],
  ])('of %s is what the same array is as text', async (type, encode, arrays) => {
    await fc.assert(
      fc.asyncProperty(arrays, async (values) => {
        const encoded = encode(values as never[]);
        expect(Buffer.isBuffer(encoded)).toBe(true);
        expect(await read(type, encoded)).toEqual(await read(type, values));
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ['smallint', int2Array([1, 32_768])],
    ['int', int4Array([2 ** 31])],
    ['int', int4Array([1.5])],
    ['bigint', int8Array([2 ** 64])],
    ['bigint', int8Array([NaN])],
    ['text', textArray(['a\0b'])],
  ])('of %s with what the type cannot hold is refused by PostgreSQL', async (type, parameter) => {
    await expect(read(type, parameter)).rejects.toBeInstanceOf(pg.DatabaseError);
  });
});
