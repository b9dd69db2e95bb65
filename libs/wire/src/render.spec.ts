import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { customHeaders, render, signingKey, USER_AGENT } from './index.js';

const now = 1_795_000_000_999;
const json = 'application/json';
const facts = { account: 'acc_1', type: 'a.b', at: 0 };
const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`;
const keyOf = (secret: string): NonNullable<ReturnType<typeof signingKey>> => {
  const key = signingKey(secret);
  if (key === null) throw new Error(`not a secret: ${secret}`);
  return key;
};
const live = (secret: string, expiresAt: number | null = null) => ({ ...keyOf(secret), expiresAt });

function signed(
  body: string | Buffer,
  secrets: ReturnType<typeof live>[],
  at = now,
  id = 'msg_1',
  headers = {},
) {
  const message = { id, ...facts, contentType: json, payload: Buffer.from(body) };
  return render('standard', message, { headers, secrets, include: null }, 1, at);
}

describe('the standard profile', () => {
  it.each([
    [
      'V1',
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1614265330,
      '{"test": 2432232314}',
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    ],
    [
      'V2',
      'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
      'msg_27UH4WbU6Z5A5EzD8u03UvzRbpk',
      1649367553,
      '{"email":"test@example.com","username":"test_user"}',
      'v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=',
    ],
  ])('signs vector %s of the specification', (_, secret, id, timestamp, body, signature) => {
    const { headers } = signed(body, [live(secret)], timestamp * 1000 + 999, id);
    expect(headers).toEqual({
      'content-type': json,
      'user-agent': USER_AGENT,
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signature,
    });
  });

  it('is accepted by the reference library and by Svix, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const secret = newSecret();
        const body = JSON.stringify({ text });
        const { headers } = signed(body, [live(secret)], Date.now());
        expect(new StandardWebhook(secret).verify(body, headers)).toEqual({ text });
        expect(() => new SvixWebhook(secret).verify(body, headers)).not.toThrow();
        const tampered = { ...headers, 'webhook-id': 'msg_2' };
        expect(() => new StandardWebhook(secret).verify(body, tampered)).toThrow('No matching signature');
        expect(() => new SvixWebhook(secret).verify(body, tampered)).toThrow('No matching signature');
      }),
      { numRuns: 50 },
    );
  });

  it('sends the published bytes, whatever they are', () => {
    const body = Buffer.from([0x00, 0xff, 0xfe, 0x7b, 0x31, 0x2e, 0x31, 0x30]);
    const secret = newSecret();
    const rendered = signed(body, [live(secret)]);
    expect(rendered.body).toEqual(body);
    const content = Buffer.concat([Buffer.from('msg_1.1795000000.'), body]);
    const mac = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
      .update(content)
      .digest('base64');
    expect(rendered.headers['webhook-signature']).toBe(`v1,${mac}`);
  });

  it('signs with every live secret, newest first, and with no expired one', () => {
    const [newest, older, expired] = [newSecret(), newSecret(), newSecret()];
    const { headers } = signed('{}', [live(newest), live(older, now + 1), live(expired, now)]);
    const alone = [newest, older].map((secret) => signed('{}', [live(secret)]).headers['webhook-signature']);
    expect(headers['webhook-signature']).toBe(alone.join(' '));
  });

  it('is accepted by both libraries with the old and with the new secret of a rotation, and with no other', () => {
    const [fresh, old, other] = [newSecret(), newSecret(), newSecret()];
    const { headers } = signed('{"a":1}', [live(fresh), live(old, Date.now() + 60_000)], Date.now());
    for (const Library of [StandardWebhook, SvixWebhook]) {
      expect(() => new Library(fresh).verify('{"a":1}', headers)).not.toThrow();
      expect(() => new Library(old).verify('{"a":1}', headers)).not.toThrow();
      expect(() => new Library(other).verify('{"a":1}', headers)).toThrow('No matching signature');
      expect(() => new Library(fresh).verify('{"a":2}', headers)).toThrow('No matching signature');
    }
  });

  it('is accepted within five minutes of its time, and no later', () => {
    const secret = newSecret();
    const at = (seconds: number) => signed('{}', [live(secret)], Date.now() + seconds * 1000).headers;
    for (const seconds of [-290, 290]) {
      expect(() => new StandardWebhook(secret).verify('{}', at(seconds))).not.toThrow();
    }
    expect(() => new StandardWebhook(secret).verify('{}', at(-310))).toThrow('too old');
    expect(() => new StandardWebhook(secret).verify('{}', at(310))).toThrow('too new');
  });

  it('refuses to send unsigned', () => {
    expect(() => signed('{}', [live(newSecret(), now)])).toThrow('no live signing secret');
  });

  it('signs each attempt with its own time', () => {
    const secret = live(newSecret());
    const [first, second] = [signed('{}', [secret]), signed('{}', [secret], now + 1)];
    expect([first, second].map((r) => r.headers['webhook-timestamp'])).toEqual(['1795000000', '1795000001']);
    expect(first.headers['webhook-signature']).not.toBe(second.headers['webhook-signature']);
  });

  it('adds the headers of the endpoint, which cannot replace ours', () => {
    const headers = customHeaders({
      'X-Shop': '7',
      'Webhook-Signature': 'v1,x',
      HOST: 'internal',
      Connection: 'webhook-id',
      'x-bad': 'a\r\nb',
    });
    expect(headers).toEqual({ 'x-shop': '7' });
    expect(signed('{}', [live(newSecret())], now, 'msg_1', headers).headers).toMatchObject({ 'x-shop': '7' });
  });

  it('says the version that was released', () => {
    const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(USER_AGENT).toBe(`Posthaste/${manifest.version}`);
  });
});

describe("a customer's header", () => {
  const sent = (headers: Record<string, string>) => customHeaders(headers);

  it('is sent as it is, Latin-1 included, its name in lower case', () => {
    expect(sent({ Authorization: 'Bearer x', 'X-Café': 'x', 'X-Shop': 'café\t7' })).toEqual({
      authorization: 'Bearer x',
      'x-shop': 'café\t7',
    });
  });

  it('cannot be one that we set ourselves, in any spelling', () => {
    const { headers } = signed('{}', [live(newSecret())]);
    for (const name of Object.keys(headers)) {
      expect(sent({ [name]: 'x', [name.toUpperCase()]: 'x' })).toEqual({});
    }
  });

  it.each([
    ...['Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'Upgrade', 'Expect', 'TE', 'Trailer'],
    ...['Keep-Alive', 'Cookie', 'Content-Encoding', 'Proxy-Authorization', 'Webhook-Anything', 'a b', ''],
  ])('cannot be %j', (name) => {
    expect(sent({ [name]: 'x' })).toEqual({});
  });

  it.each(['a\nb', 'a\rb', 'a\u0000b', 'a\u007fb', '€'])('cannot have the value %j', (value) => {
    expect(sent({ 'x-a': value })).toEqual({});
  });
});

describe('a signing secret', () => {
  const bytes = (n: number) => randomBytes(n).toString('base64');
  it.each([
    ['with 24 bytes', `whsec_${bytes(24)}`, true],
    ['without prefix', bytes(32), true],
    ['with 75 bytes', `whsec_${bytes(75)}`, true],
    ['with 23 bytes', `whsec_${bytes(23)}`, false],
    ['with 76 bytes', `whsec_${bytes(76)}`, false],
    ['that is empty', 'whsec_', false],
    ['of another kind', `whpk_${bytes(32)}`, false],
    ['with odd characters', `whsec_${bytes(32)}\n`, false],
    ['in base64url', `whsec_${'-_'.repeat(16)}`, false],
    ['with its prefix twice', `whsec_whsec_${bytes(32)}`, false],
    ['with its prefix in capitals', `WHSEC_${bytes(32)}`, false],
  ])('%s', (_, secret, usable) => {
    expect(signingKey(secret) !== null).toBe(usable);
  });

  it('is the same key with and without its prefix and padding', () => {
    const encoded = bytes(32);
    const of = (secret: string) => signed('{}', [live(secret)]).headers['webhook-signature'];
    expect(of(encoded)).toBe(of(`whsec_${encoded}`));
    expect(of(encoded.replace('=', ''))).toBe(of(encoded));
  });

  it('does not show itself when a key is printed', () => {
    const secret = newSecret();
    expect(inspect(live(secret), { depth: 5 })).not.toContain(secret.slice(6, 20));
  });
});
