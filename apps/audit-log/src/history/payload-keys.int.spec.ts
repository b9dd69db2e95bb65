import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import { payloadKeys, soughtKeys } from './payload-keys.js';

// Whatever PostgreSQL finds in a payload has the key that is looked for. Payloads are made as text, as people write JSON.

let bed: HistoryBed;
beforeAll(async () => {
  bed = await startHistoryBed();
}, 60_000);
afterAll(() => bed.stop());

const account = 'acc_1';

const escaped = (text: string): string =>
  [...text].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
const word = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'id',
    '0',
    '1',
    '01',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '__proto__',
    'constructor',
    'é',
    'İ',
    '3',
  ),
  fc.string({ unit: 'binary', maxLength: 4 }),
);
const stringText = word.chain((text) =>
  fc.constantFrom(JSON.stringify(text), ...(/^[a-z0-9]*$/.test(text) ? [`"${escaped(text)}"`] : [])),
);
const numberText = fc.oneof(
  fc.constantFrom(
    '0',
    '-0',
    '0.0',
    '-0e5',
    '3',
    '3.0',
    '300e-2',
    '0.3E1',
    '1e2',
    '100',
    '100.000',
    '1E+2',
    '-7',
  ),
  fc.constantFrom(
    '12345678901234567890',
    '12345678901234567890.0',
    '0.1',
    '0.1000',
    '1e-400',
    '1e400',
    '10e399',
  ),
  fc.constantFrom(
    '9007199254740993',
    '9007199254740992',
    `1${'0'.repeat(400)}`,
    `0.${'3'.repeat(900)}`,
    '1e999999',
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
);
const scalarText = fc.oneof(stringText, numberText, fc.constantFrom('true', 'false', 'null'));
const space = fc.constantFrom('', '', ' ', '\n\t\r ');
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalarText,
    fc
      .tuple(fc.array(tie('json'), { maxLength: 4 }), space)
      .map(([items, gap]) => `[${gap}${items.join(`${gap},`)}${gap}]`),
    // Names may come twice.
    fc
      .tuple(fc.array(fc.tuple(stringText, tie('json')), { maxLength: 4 }), space)
      .map(
        ([members, gap]) =>
          `{${gap}${members.map(([name, value]) => `${name}${gap}:${gap}${value}`).join(',')}}`,
      ),
  ),
}));
const payload = fc.oneof(
  { weight: 20, arbitrary: fc.tuple(json, space).map(([text, gap]) => `${gap}${text}${gap}`) },
  fc.constantFrom(
    '',
    '{"a":1',
    '\ufeff{"a":1}',
    '{"a":"\\u0000","b":1}',
    '["\\ud800"]',
    '<a/>',
    'nothing',
    '01',
  ),
);

/** Ways into what the payload holds, some of them written otherwise, with values that are there, or nearly. */
function pathsInto(text: string): { path: string[]; value_json: string }[] {
  const found: { path: string[]; value_json: string }[] = [];
  const walk = (value: unknown, path: string[]): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [name, inner] of Object.entries(value)) {
        walk(inner, [...path, name]);
        if (/^\d$/.test(name))
          for (const way of [`0${name}`, ` ${name}`, `+${name}`, '-1']) walk(inner, [...path, way]);
      }
    } else if (found.length < 40) {
      const isNumber = typeof value === 'number';
      // Only what JSON can say again.
      if (!isNumber || Number.isFinite(value)) found.push({ path, value_json: JSON.stringify(value) });
      if (isNumber && Number.isInteger(value)) found.push({ path, value_json: `${BigInt(value)}.00` });
    }
  };
  try {
    walk(JSON.parse(text), []);
  } catch {
    found.push({ path: ['a'], value_json: '1' });
  }
  return found;
}

const asked = fc
  .tuple(payload, fc.array(word, { maxLength: 3 }), scalarText)
  .map(([text, path, value_json]) => ({ text, tries: [...pathsInto(text), { path, value_json }] }));

const storable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

describe('the keys of a payload', () => {
  it('are there of everything that PostgreSQL finds', async () => {
    let found = 0;
    const check = async (
      cases: { text: string; tries: { path: string[]; value_json: string }[] }[],
    ): Promise<void> => {
      const tried = cases.flatMap(({ text, tries }) =>
        tries
          .filter(({ path, value_json }) =>
            [...path, JSON.parse(value_json) as unknown].every(
              (one) => typeof one !== 'string' || storable(one),
            ),
          )
          .map((one) => ({ text, ...one })),
      );
      const { rows } = await bed.pool.query<{ found: boolean | null }>(
        `select history.payload_json(payload) #> array(select json_array_elements_text(path::json)) = value::jsonb as found
         from unnest($1::bytea[], $2::text[], $3::text[]) with ordinality as t (payload, path, value, n) order by n`,
        [
          tried.map(({ text }) => Buffer.from(text)),
          tried.map(({ path }) => JSON.stringify(path)),
          tried.map(({ value_json }) => (value_json === '1e999999' ? '1' : value_json)),
        ],
      );
      tried.forEach(({ text, path, value_json }, i) => {
        if (rows[i]?.found !== true) return;
        const sought = soughtKeys(account, { path, value_json });
        if (sought === undefined) return;
        found++;
        expect({
          text,
          path,
          value_json,
          has: hasOne(payloadKeys(account, Buffer.from(text)), sought),
        }).toEqual({
          text,
          path,
          value_json,
          has: true,
        });
      });
    };
    await fc.assert(fc.asyncProperty(fc.array(asked, { minLength: 30, maxLength: 60 }), check), {
      numRuns: 40,
    });
    expect(found).toBeGreaterThan(1_000);
  }, 120_000);

  it.each([
    ['too many values', JSON.stringify(Array.from({ length: 1_000 }, (_, i) => i)), ['999'], '999'],
    ['too many bytes', JSON.stringify({ a: 'x'.repeat(100_000), b: 1 }), ['b'], '1'],
    ['too many levels', `${'['.repeat(150)}7${']'.repeat(150)}`, Array.from({ length: 150 }, () => '0'), '7'],
  ])('of a payload with %s say: look at me', async (_, text, path, value_json) => {
    const { rows } = await bed.pool.query<{ found: boolean }>(
      `select history.payload_json($1) #> $2::text[] = $3::jsonb as found`,
      [Buffer.from(text), path, value_json],
    );
    expect(rows).toEqual([{ found: true }]);
    const keys = payloadKeys(account, Buffer.from(text));
    expect(keys).toHaveLength(1);
    expect(keys).toEqual([soughtKeys(account, { path, value_json })?.[1]]);
  });
});

const hasOne = (keys: number[], sought: number[]): boolean => sought.some((key) => keys.includes(key));
