import { describe, expect, it } from '@jest/globals';
import { examineClock } from './commands/doctor.js';
import { kindOf } from './api.js';
import { samplesOf } from './ops.js';
import { durationMs, durationText, instant, ratePerSecond, wholeNumber } from './quantities.js';

describe('quantities as people type them', () => {
  it.each([
    ['90s', 90_000],
    ['1.5h', 5_400_000],
    ['15m', 900_000],
    ['1d', 86_400_000],
    ['2', null],
    ['-2h', null],
    ['2 h', null],
  ])('%s is a duration of %s ms', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it.each([
    ['200/s', 200],
    ['600/min', 10],
    ['200', null],
  ])('%s is a rate of %s a second', (text, perSecond) => {
    expect(ratePerSecond(text)).toBe(perSecond);
  });

  it('takes a duration for so long ago, a time for itself, and nothing else', () => {
    const now = Date.parse('2026-03-01T12:00:00.000Z');
    expect(instant('since', '2h', now)).toBe('2026-03-01T10:00:00.000Z');
    expect(instant('since', '2026-03-01T09:30:00+02:00', now)).toBe('2026-03-01T09:30:00+02:00');
    expect(() => instant('since', 'yesterday', now)).toThrow('--since yesterday is neither');
    expect(() => wholeNumber('limit', '1e3', 1, 10_000)).toThrow('--limit 1e3');
    expect(() => wholeNumber('limit', '0', 1, 10_000)).toThrow('--limit 0');
  });

  it('says durations in the units that matter', () => {
    const times = [12_345, 526_000, 7_500_000, 176_400_000];
    expect(times.map(durationText)).toEqual(['12.3 s', '8 min 46 s', '2 h 5 min', '2 d 1 h']);
  });
});

describe('what a server says', () => {
  it.each([
    [400, 'usage'],
    [401, 'refused'],
    [404, 'not_found'],
    [409, 'refused'],
    [500, 'failed'],
    [503, 'unreachable'],
  ])('with status %s ends a command as %s', (status, kind) => {
    expect(kindOf(status)).toBe(kind);
  });

  it('of its metrics is read sample by sample, and the rest passed over', () => {
    const page =
      '# HELP a words\n# TYPE a gauge\na 3\nlag{topic="m\\"x",le="+Inf"} 1.5e3 1700\nb NaN\nrubbish\n';
    expect(samplesOf(page)).toEqual([
      { name: 'a', labels: {}, value: 3 },
      { name: 'lag', labels: { topic: 'm\\"x', le: '+Inf' }, value: 1_500 },
    ]);
  });

  it('of its time is compared as the whole second it is', () => {
    const date = 'Sun, 01 Mar 2026 12:00:00 GMT';
    const at = Date.parse(date);
    const stateAt = (askedAt: number, answeredAt = askedAt): string =>
      examineClock(date, askedAt, answeredAt).state;
    expect(stateAt(at + 999)).toBe('ok');
    expect(stateAt(at - 400, at + 10)).toBe('ok');
    expect(stateAt(at - 5_000)).toBe('warning');
    expect(stateAt(at + 6_000)).toBe('warning');
    expect(stateAt(at + 61_000)).toBe('wrong');
    expect(examineClock(date, at + 301_000, at + 301_000).says).toBe(
      'the server is 300 s behind this machine',
    );
    expect(examineClock(null, at, at).state).toBe('warning');
  });
});
