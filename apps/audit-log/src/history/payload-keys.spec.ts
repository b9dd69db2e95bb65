import { describe, expect, it } from '@jest/globals';
import { bucketOf, DAY_MS, payloadKeys, SLOT_MS, soughtKeys } from './payload-keys.js';

const keysOf = (text: string, account = 'acc_1'): number[] => payloadKeys(account, Buffer.from(text));
const soughtFor = (path: string[], value_json: string): number | undefined =>
  soughtKeys('acc_1', { path, value_json })?.[0];

describe('the keys of a payload', () => {
  it('tell values, ways to them, and accounts apart', () => {
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
    ];
    expect(new Set(keys).size).toBe(texts.length + 2);
  });

  it('are in the buckets of their half-hour, evenly', () => {
    const at = 20_700 * DAY_MS;
    const keys = keysOf(JSON.stringify(Array.from({ length: 200 }, (_, i) => `value ${i}`)));
    expect(keys.every((key) => key === (key | 0))).toBe(true);
    const day = Array.from({ length: 48 }, (_, i) => keys.map((key) => bucketOf(at + i * SLOT_MS + 7, key)));
    expect(day.map((buckets) => new Set(buckets.map((bucket) => bucket >> 11)))).toEqual(
      day.map((_, i) => new Set([i])),
    );
    // Of 2,048 buckets 200 keys hit about 190.
    expect(Math.min(...day.map((buckets) => new Set(buckets).size))).toBeGreaterThan(170);
  });

  it.each(['', ' ', '<order/>', 'a=1', '{"a":1', '[1,]', 'nul', '-', '\u0000'])('are none for %j', (text) => {
    expect(keysOf(text)).toEqual([]);
  });

  it('are those of what follows white space, however much', () => {
    for (const spaces of [1, 99, 100, 101, 5_000]) {
      expect(keysOf(`${' \n'.repeat(spaces)}[1]`)).toEqual(keysOf('[1]'));
    }
    expect(keysOf(' '.repeat(5_000))).toEqual([]);
  });

  it('take the last of members told twice, and members that objects inherit', () => {
    expect(keysOf('{"a":1,"a":2}')).toEqual([soughtFor(['a'], '2')]);
    expect(keysOf('{"__proto__":{"x":3}}')).toEqual([soughtFor(['__proto__', 'x'], '3.0')]);
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
