import { isUtf8 } from 'node:buffer';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { JsonScanner } from './json-scanner.js';

const ANY_DEPTH = 1_000;

function scan(bytes: Buffer, depth = ANY_DEPTH): { accepted: boolean; scanner: JsonScanner } {
  const scanner = new JsonScanner(bytes);
  const end = scanner.value(scanner.space(0), depth);
  return { accepted: isUtf8(bytes) && end >= 0 && scanner.end(end), scanner };
}

function jsonParseAccepts(bytes: Buffer): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Bytes that JSON is made of, and some it is not: a random one often leaves a document almost right. */
const byte = fc.oneof(
  fc.constantFrom(...Buffer.from('{}[]:,"\\ \n\t0123456789eE+-.truefalsn/bu')),
  fc.integer({ min: 0, max: 255 }),
);

const mutated = fc
  .record({
    json: fc.json({ noUnicodeString: false }),
    at: fc.nat(),
    removed: fc.integer({ min: 0, max: 2 }),
    inserted: fc.array(byte, { maxLength: 2 }),
  })
  .map(({ json, at, removed, inserted }) => {
    const bytes = Buffer.from(json);
    const from = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, from), Buffer.from(inserted), bytes.subarray(from + removed)]);
  });

describe('the JSON scanner', () => {
  it('accepts a mutated document exactly when JSON.parse does', () => {
    fc.assert(
      fc.property(mutated, (bytes) => {
        expect(scan(bytes).accepted).toBe(jsonParseAccepts(bytes));
      }),
      { numRuns: 5_000 },
    );
  });

  it('accepts random runs of JSON bytes exactly when JSON.parse does', () => {
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 6 }), (values) => {
        const bytes = Buffer.from(values);
        expect(scan(bytes).accepted).toBe(jsonParseAccepts(bytes));
      }),
      { numRuns: 5_000 },
    );
  });

  it('refuses every truncation of an object, at its end', () => {
    const whole = Buffer.from('{"a": [1, -2.5e+7, "x\\u00e9\\n", true, false, null, {}], "b": "ü"}');
    for (let length = 0; length < whole.length; length++) {
      const { accepted, scanner } = scan(whole.subarray(0, length));
      expect(accepted).toBe(false);
      expect(scanner.fault).toEqual({ rule: 'malformed_json', offset: length });
    }
    expect(scan(whole).accepted).toBe(true);
  });

  it.each([
    ['01', 1],
    ['1.', 2],
    ['-', 1],
    ['-a', 1],
    ['.5', 0],
    ['1e', 2],
    ['1e+', 3],
    ['+1', 0],
    ['NaN', 0],
    ['tru', 3],
    ['trUe', 2],
    ['"\t"', 1],
    ['"\\x"', 2],
    ['"\\u12G4"', 5],
    ['"abc', 4],
    ["'a'", 0],
    ['[1,]', 3],
    ['[1 2]', 3],
    ['{"a":1,}', 7],
    ['{a:1}', 1],
    ['{"a" 1}', 5],
    ['{"a":}', 5],
    ['{} {}', 3],
    ['', 0],
    ['\u00a01', 0],
    ['\ufeff1', 0],
    ['[1]\u2028', 3],
  ])('refuses %j at offset %d', (text, offset) => {
    const { accepted, scanner } = scan(Buffer.from(text));
    expect({ accepted, fault: scanner.fault }).toEqual({
      accepted: false,
      fault: { rule: 'malformed_json', offset },
    });
  });

  it('counts arrays and objects as levels, and says where there is one too many', () => {
    expect(scan(Buffer.from('[{"a":[]}]'), 3).accepted).toBe(true);
    const { accepted, scanner } = scan(Buffer.from('[{"a":[]}]'), 2);
    expect(accepted).toBe(false);
    expect(scanner.fault).toEqual({ rule: 'too_deep', offset: 6 });
  });

  it('survives a megabyte of open brackets', () => {
    expect(scan(Buffer.alloc(1_048_576, '['), 64).scanner.fault).toEqual({ rule: 'too_deep', offset: 64 });
  });
});
