import { describe, expect, it } from '@jest/globals';
import { Problem } from '@posthaste/runtime';
import { payloadMatch } from './payload-path.js';

describe('the filter by a value in the payload', () => {
  it.each([
    ['$.order.id=42', ['order', 'id'], '42'],
    ['$.id="42"', ['id'], '"42"'],
    ['$.status=paid', ['status'], '"paid"'],
    ['$.note=a=b', ['note'], '"a=b"'],
    ['$.note=', ['note'], '""'],
    ['$.lines[0].sku=A-1', ['lines', '0', 'sku'], '"A-1"'],
    ['$[1]=null', ['1'], 'null'],
    ['$=true', [], 'true'],
    ['$["odd ]\\" name"].größe-1=-1.5e3', ['odd ]" name', 'größe-1'], '-1.5e3'],
    ['$.big=12345678901234567890', ['big'], '12345678901234567890'],
    ['$.x=01', ['x'], '"01"'],
  ])('reads %s', (text, path, value_json) => {
    expect(payloadMatch(text)).toEqual({ path, value_json });
  });

  it('is absent when it was not asked for', () => {
    expect(payloadMatch(undefined)).toBeUndefined();
  });

  it.each([
    ['', 'bad_path'],
    ['order.id=42', 'bad_path'],
    ['$.order.id', 'bad_path'],
    ['$.order..id=42', 'bad_path'],
    ['$.lines[*]=42', 'bad_path'],
    ['$.lines[-1]=42', 'bad_path'],
    ["$['name']=42", 'bad_path'],
    ['$["\\x"]=42', 'bad_path'],
    ['$.a={"b":1}', 'bad_value'],
    ['$.a=[1]', 'bad_value'],
    ['$.a=1e999', 'bad_value'],
    ['$.a="\\u0000"', 'bad_value'],
    ['$.a="\\ud800"', 'bad_value'],
    ['$["\\u0000"]=1', 'bad_value'],
  ])('refuses %s, and names the parameter and the rule', (text, code) => {
    let refusal: unknown;
    try {
      payloadMatch(text);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(Problem);
    expect(refusal).toMatchObject({ status: 422, errors: [{ pointer: '?payload', code }] });
  });
});
