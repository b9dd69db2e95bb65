import { describe, expect, it } from '@jest/globals';
import { scrub, scrubText } from './scrub.js';

const token = 'eyJhbGciOi.abc+/def==';

describe('scrubbing', () => {
  it('finds a secret as it is, percent-encoded and in JSON, each time', () => {
    const echoes = [token, encodeURIComponent(token), token.replaceAll('/', '\\/')];
    expect(scrubText(`a ${echoes.join(' b ')} c`, [token])).toBe('a *** b *** b *** c');
  });

  it('finds the beginning of one where the body was cut', () => {
    for (let length = 8; length < token.length; length++) {
      expect(scrubText(`got ${token.slice(0, length)}`, [token])).toBe('got ***');
    }
    expect(scrubText('got eyJ', [token])).toBe('got eyJ');
  });

  it('leaves every other byte alone, and what holds no secret untouched', () => {
    const binary = Buffer.from([0, 0xff, 0xc3, 0x28, 10]);
    expect(scrub(binary, [token])).toBe(binary);
    const mixed = Buffer.concat([binary, Buffer.from(token), binary]);
    expect(scrub(mixed, [token, ''])).toEqual(Buffer.concat([binary, Buffer.from('***'), binary]));
    expect(scrub(Buffer.from('naïve pässword!'), ['pässword'])).toEqual(Buffer.from('naïve ***!'));
  });
});
