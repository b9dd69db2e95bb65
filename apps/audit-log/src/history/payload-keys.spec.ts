import { describe, expect, it } from '@jest/globals';
import { DAY_MS, payloadKeys, SLOT_MS, soughtKeys } from './payload-keys.js';

const at = 20_700 * DAY_MS + 5 * SLOT_MS + 7;
const keysOf = (text: string, account = 'acc_1', time = at): number[] =>
  payloadKeys(account, time, Buffer.from(text));
const soughtAt = (path: string[], value_json: string): number | undefined =>
  soughtKeys('acc_1', { path, value_json })?.(at)[0];

describe('the keys of a payload', () => {
  it('tell values, ways to them, accounts and half-hours apart', () => {
    const texts = [
      '{"a":1}',
      '{"a":"1"}',
      '{"b":1}',
      '[1]',
      '1',
      '{"a":2}',
      '{"a":{"a":1}}',
      '{"a":null}',
      '{"a":true}',
    ];
    const keys = [
      ...texts.flatMap((text) => keysOf(text)),
      ...keysOf('{"a":false}'),
      ...keysOf('{"a":1}', 'acc_2'),
      ...keysOf('{"a":1}', 'acc_1', at + SLOT_MS),
    ];
    expect(new Set(keys).size).toBe(texts.length + 3);
  });

  it('are int4, and those of a half-hour lie together', () => {
    const slots = Array.from({ length: 48 }, (_, i) => keysOf('[1,2,3]', 'acc_1', at + i * SLOT_MS));
    expect(slots.flat().every((key) => key === (key | 0))).toBe(true);
    expect(new Set(slots.map((keys) => new Set(keys.map((key) => key >>> 26)).size))).toEqual(new Set([1]));
    expect(new Set(slots.map(([key = 0]) => key >>> 26)).size).toBe(48);
  });

  it.each(['', ' ', '<order/>', 'a=1', '{"a":1', '[1,]', 'nul', '-', '\u0000'])('are none for %j', (text) => {
    expect(keysOf(text)).toEqual([]);
  });

  it('take the last of members told twice, and members that objects inherit', () => {
    expect(keysOf('{"a":1,"a":2}')).toEqual([soughtAt(['a'], '2')]);
    expect(keysOf('{"__proto__":{"x":3}}')).toEqual([soughtAt(['__proto__', 'x'], '3.0')]);
    expect(keysOf('{}')).toEqual([]);
  });

  it.each([
    [['01'], '1'],
    [['a', '-1'], '1'],
    [['a', ' 1'], '1'],
    [['a', '+0'], '1'],
    [['a'], '{"b":1}'],
    [['a'], '[]'],
  ])('are not asked for %j = %s, which they cannot tell', (path, value_json) => {
    expect(soughtKeys('acc_1', { path, value_json })).toBeUndefined();
  });
});
