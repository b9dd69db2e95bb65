import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { maskHeader, scrub, secretsOf, shownHeaders, withToken } from './secrets.js';

const signing = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const headers = {
  authorization: 'Basic c2hvcDpzZXNhbWU=',
  'x-api-key': 'k"é-12345678',
  'x-shop': 'shop-number-seven',
  'x-short': 'seven',
};
const secrets = secretsOf(headers, [signing]);
const answer = (
  text: string | Buffer,
  bodyTruncated = false,
  more: Record<string, string | string[]> = {},
) => ({
  status: 200,
  headers: { date: 'Sat, 21 Nov 2026 07:00:00 GMT', ...more },
  body: Buffer.from(text as string),
  bodyTruncated,
});

describe('a response that is kept', () => {
  it.each([
    ['an authorization header', `you sent ${headers.authorization}!`, 'you sent [hidden]!'],
    ['its credentials alone', 'c2hvcDpzZXNhbWU=', '[hidden]'],
    ['any longer header', '<b>shop-number-seven</b>', '<b>[hidden]</b>'],
    ['a value as JSON', JSON.stringify({ k: headers['x-api-key'] }), '{"k":"[hidden]"}'],
    ['a value as UTF-8', headers['x-api-key'], '[hidden]'],
    ['the signing secret', `${signing} ${signing}`, '[hidden] [hidden]'],
    ['its base64', signing.slice(6), '[hidden]'],
    ['several', `${signing}shop-number-seven`, '[hidden][hidden]'],
  ])('does not hold %s', (_, sent, kept) => {
    expect(scrub(answer(sent), secrets).body.toString()).toBe(kept);
  });

  it('does not hold a value as it was sent, in Latin-1, nor in its headers', () => {
    const raw = Buffer.from(`\0${headers['x-api-key']}\xff`, 'latin1');
    expect(scrub(answer(raw), secrets).body).toEqual(Buffer.from('\0[hidden]\xff', 'latin1'));
    const echo = { 'x-echo': `a ${signing} b`, 'set-cookie': ['a=b', `t=${headers['x-shop']}; Secure`] };
    expect(scrub(answer('', false, echo), secrets).headers).toEqual({
      date: 'Sat, 21 Nov 2026 07:00:00 GMT',
      'x-echo': 'a [hidden] b',
      'set-cookie': ['a=b', 't=[hidden]; Secure'],
    });
  });

  it('does not hold a token fetched for the attempt', () => {
    const token = 'eyJhbGciOi.J9.x';
    const result = scrub(answer(`Bearer ${token}`), withToken(secrets, token));
    expect(result.body.toString()).toBe('Bearer [hidden]');
    expect(scrub(answer(signing), withToken(secrets, token)).body.toString()).toBe('[hidden]');
  });

  it('does not end with the beginning of a secret, wherever it was cut', () => {
    fc.assert(
      fc.property(fc.integer({ min: 8, max: signing.length - 1 }), fc.nat(40), (length, before) => {
        const body = 'x'.repeat(before) + signing.slice(0, length);
        expect(scrub(answer(body, true), secrets).body.toString()).toBe(`${'x'.repeat(before)}[hidden]`);
      }),
    );
  });

  it('is untouched, the very same object, when nothing is in it', () => {
    for (const response of [answer('ok'), answer('x'.repeat(10_000)), answer('seven', true)]) {
      expect(scrub(response, secrets)).toBe(response);
    }
    expect(scrub(answer(''), secretsOf({}, [])).body.length).toBe(0);
  });
});

describe('a request that is shown', () => {
  it('tells of secret headers their first characters and length, and others whole', () => {
    const sent = { 'webhook-id': 'msg_1', 'webhook-signature': 'v1,abc', ...headers };
    expect(shownHeaders(sent, secrets)).toEqual({
      ...sent,
      authorization: 'Basi... (22 characters)',
      'x-api-key': '... (12 characters)',
    });
    expect(shownHeaders({ 'x-shop': '7' }, secretsOf({ 'x-shop': '7' }, []))).toEqual({ 'x-shop': '7' });
  });

  it.each(['Authorization', 'x-auth', 'X-API-Key', 'my-token', 'shop_secret', 'x-password'])(
    'hides %s',
    (name) => expect(secretsOf({ [name]: 'a' }, []).shownHeaders).toEqual({ [name]: maskHeader('a') }),
  );

  it('shows no token', () => {
    const token = 'eyJhbGciOi.J9.x';
    const shown = shownHeaders({ authorization: `Bearer ${token}` }, withToken(secretsOf({}, []), token));
    expect(shown).toEqual({ authorization: 'Bear... (22 characters)' });
  });
});
