import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { WireProfile } from '@posthaste/contracts';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { isAcknowledged, linkupEvent, render, signingKey, type WireMessage } from './index.js';

const now = Date.parse('2026-03-12T10:00:05.678Z');
const nowSeconds = Math.floor(now / 1000);

function message(payload: string | Buffer, fields: Partial<WireMessage> = {}): WireMessage {
  const id = 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W';
  const at = Date.parse('2026-03-12T10:00:00.000Z');
  const facts = { id, account: 'acc_1', type: 'a.b', at, contentType: 'application/json; charset=utf-8' };
  return { ...facts, payload: Buffer.from(payload), ...fields };
}

interface Given {
  secrets?: string[];
  include?: string[] | null;
  at?: number;
  headers?: Record<string, string>;
}

function rendered(
  profile: WireProfile,
  sent: WireMessage,
  { secrets = [], include = null, at = now, headers = {} }: Given = {},
) {
  const live = secrets.map((secret) => {
    const key = signingKey(secret, profile === 'ada' || profile === 'standard' ? undefined : 'text');
    if (key === null) throw new Error(`not a secret: ${secret}`);
    return { ...key, expiresAt: null };
  });
  const { headers: out, body } = render(profile, sent, { headers, secrets: live, include }, 1, at);
  return { headers: out, body, text: body.toString() };
}

const hmac = (key: string, ...parts: (string | Buffer)[]) => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest('hex');
};
const key24 = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX';

describe('a position', () => {
  const position = '00200000000005';
  const both = [message('{}', { position }), message('{}')] as const;

  it.each(['standard', 'ada'] as const)(
    'is told beside the rest by %s, and changes nothing of it',
    (profile) => {
      const [told, plain] = both.map((sent) => rendered(profile, sent, { secrets: [key24] }));
      expect(told?.headers).toEqual({ ...plain?.headers, 'webhook-position': position });
      expect(told?.text).toBe(plain?.text);
    },
  );

  it.each(['linkup', 'middesk'] as const)(
    'is not told by %s, whose product has no such header',
    (profile) => {
      const [told, plain] = both.map((sent) => rendered(profile, sent));
      expect(told).toEqual(plain);
    },
  );
});

describe('the golden vectors', () => {
  const ada =
    '{"type":"v1.end_user.created","timestamp":"2026-03-12T10:00:00.000+00:00","data":{"end_user_id":"5f7e0e2c1e7c7e000f0f9c3a"},"tags":["5f7e0e2c1e7c7e000f0f9c3a"]}';
  const linkup =
    '{"account_id":"69c127c37cae0494dd827286","account_name":"My Account","event":{"type":"message","message_text":"Hello!"},"timestamp":"2025-01-15T10:31:00Z"}';
  const middesk =
    '{"object":"event","id":"f215a707-655e-400f-84e6-fbb949f5612a","type":"business.created","data":{"object":{"object":"business","id":"0f86dab5-8195-4b95-b3c0-19deaeba2a8e","external_id":"ext-1","name":"A Company","status":"open"}},"created_at":"2026-01-01T00:00:00.000Z"}';

  it.each([
    ['published whole', message(ada, { type: 'v1.end_user.created' })],
    [
      'made of its parts',
      message('{"end_user_id":"5f7e0e2c1e7c7e000f0f9c3a"}', {
        type: 'v1.end_user.created',
        tags: ['5f7e0e2c1e7c7e000f0f9c3a'],
      }),
    ],
  ])('Ada, %s', (_, sent) => {
    const { text, headers } = rendered('ada', sent, { secrets: [key24], at: 1674087231_999 });
    expect(text).toBe(ada);
    const signature = 'v1,to/J0sjYJD7HsGXteBYbUxX1rVsuDVU1NJC2qOR/PSU=';
    expect(headers).toMatchObject({
      ...{ 'svix-id': sent.id, 'svix-timestamp': '1674087231', 'svix-signature': signature },
      ...{ 'webhook-id': sent.id, 'webhook-timestamp': '1674087231', 'webhook-signature': signature },
    });
  });

  it.each([
    ['published whole', message(linkup)],
    [
      'made of its parts',
      message('{"type":"message","message_text":"Hello!"}', {
        subject: { uid: '69c127c37cae0494dd827286', name: 'My Account' },
        at: Date.parse('2025-01-15T10:31:00Z'),
      }),
    ],
  ])('LinkUp, %s', (_, sent) => {
    const given = { secrets: ['test_linkup_secret'], at: 1714386470_000 };
    const { text, headers } = rendered('linkup', sent, given);
    expect(text).toBe(linkup);
    expect(headers).toMatchObject({
      'x-linkup-timestamp': '1714386470',
      'x-linkup-signature': 'v1=e2c0368f91639638bda48b7bc92a0266f84c250f4aa6b9671733c0d8020aa34b',
    });
    expect(linkupEvent(sent).toString()).toBe(linkup);
  });

  it('Middesk, published whole', () => {
    const { text, headers } = rendered('middesk', message(middesk), { secrets: ['test_middesk_secret'] });
    expect(text).toBe(middesk);
    const signature = 'bd7d878d40d6cb299a70be2c9e70f6b72e6f12ee07e706968ffa6f62775319e2';
    expect(headers).toMatchObject({
      'x-correlation-id': 'ext-1',
      'x-middesk-signature-256': signature,
      'x-middesk-signature': signature,
    });
  });
});

// What must hold for the three alike.
const wrapped = {
  ada: (inner: string) => `{"type":"a.b","timestamp":"2026-03-12T10:00:00.000+00:00","data":${inner}}`,
  linkup: (inner: string) =>
    `{"account_id":"acc_1","account_name":"","event":${inner},"timestamp":"2026-03-12T10:00:00Z"}`,
  middesk: (inner: string) =>
    `{"object":"event","id":"33333333","type":"a.b","data":{"object":${inner}},"created_at":"2026-03-12T10:00:00.000Z"}`,
};
const whole = {
  ada: '{ "data": {"n": 1.10}, "timestamp": "", "type": "a.b" }',
  linkup: '{ "timestamp": 1, "event": 1.10, "account_id": null }',
  middesk: '{ "data": { "object": { "n": 1.10 } }, "object": "event" }',
};
const withoutId = (text: string) => text.replace(/"id":"[0-9a-f-]{36}"/, '"id":"33333333"');

describe.each(['ada', 'linkup', 'middesk'] as const)('a payload to profile %s', (profile) => {
  const secrets = [profile === 'ada' ? key24 : 'a-text-of-mine'];

  it.each([
    ['{ "n" : 1.10, "big": 12345678901234567890, "u": "\\u00e9" }'],
    ['{}'],
    ['[{"type":"x","data":1}]'],
    ['1.10'],
    ['null'],
    ['"text"'],
  ])('that is %s stands in the event as it is', (payload) => {
    const { text, headers } = rendered(profile, message(payload), { secrets });
    expect(withoutId(text)).toBe(wrapped[profile](payload));
    expect(headers['content-type']).toBe('application/json');
  });

  it.each([
    ['text', Buffer.from('hi "you"\n'), '"hi \\"you\\"\\n"'],
    ['nothing', Buffer.alloc(0), '""'],
    ['half of an object', Buffer.from('{"type":'), '"{\\"type\\":"'],
    ['bytes', Buffer.from([0, 255, 254]), '"AP/+"'],
  ])('that is %s and no JSON stands there as a string', (_, payload, string) => {
    const { text } = rendered(profile, message(payload), { secrets, include: ['a'] });
    expect(withoutId(text)).toBe(wrapped[profile](string));
    expect(() => JSON.parse(text) as unknown).not.toThrow();
  });

  it('that is a whole event of the product goes as it is, the very same bytes', () => {
    const sent = message(whole[profile]);
    const { body, headers } = rendered(profile, sent, { secrets });
    expect(body).toBe(sent.payload);
    expect(headers['content-type']).toBe(sent.contentType);
    const others = Object.entries(whole).filter(([name]) => name !== profile);
    for (const [, other] of others) {
      expect(withoutId(rendered(profile, message(other), { secrets }).text)).toBe(wrapped[profile](other));
    }
  });

  it('has the same body at each attempt, and another signature when its time is signed', () => {
    const sent = message('{"a":1}');
    const [first, again] = [now, now + 60_000].map((at) => rendered(profile, sent, { secrets, at }));
    expect(again?.body).toEqual(first?.body);
    expect(again?.headers['webhook-id']).toBe(sent.id);
    const name = { ada: 'svix', linkup: 'x-linkup', middesk: 'x-middesk' }[profile];
    const isSame = first?.headers[`${name}-signature`] === again?.headers[`${name}-signature`];
    expect(isSame).toBe(profile === 'middesk');
  });

  it('goes with the headers of the endpoint, which cannot replace ours', () => {
    const plain = rendered(profile, message('{"id":"1"}'), { secrets }).headers;
    const theirs = Object.fromEntries(Object.keys(plain).map((name) => [name, 'theirs']));
    const { headers } = rendered(profile, message('{"id":"1"}'), {
      secrets,
      headers: { ...theirs, 'x-shop': '7' },
    });
    expect(headers).toEqual({ ...plain, 'x-shop': '7' });
    for (const name of Object.keys(headers)) expect(name).toBe(name.toLowerCase());
  });
});

describe('profile ada', () => {
  it('signs with every live secret, and either library verifies with each', () => {
    const other = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
    const { headers, text } = rendered('ada', message('{"a":1}'), {
      secrets: [other, key24],
      at: Date.now(),
    });
    expect(headers['svix-signature']?.split(' ')).toHaveLength(2);
    const named = (prefix: string) =>
      Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith(prefix)));
    for (const secret of [other, key24]) {
      for (const given of [named('svix-'), named('webhook-'), headers]) {
        expect(() => new SvixWebhook(secret).verify(text, given)).not.toThrow();
      }
      expect(() => new StandardWebhook(secret).verify(text, named('webhook-'))).not.toThrow();
    }
    expect(() => rendered('ada', message('{}'))).toThrow('no live signing secret');
  });

  it.each([
    ['of another type', '{"type":"a.c","timestamp":"2026-03-12T10:00:00.000+00:00","data":{}}'],
    ['without a time', '{"type":"a.b","data":{}}'],
    ['with a time in numbers', '{"type":"a.b","timestamp":1773309600,"data":{}}'],
    ['with data that is no object', '{"type":"a.b","timestamp":"2026-03-12T10:00:00.000+00:00","data":[]}'],
    ['that only has its names', '{"type":"message","data":"text"}'],
  ])('wraps what looks like an event but is not this one: %s', (_, payload) => {
    expect(rendered('ada', message(payload), { secrets: [key24] }).text).toBe(wrapped.ada(payload));
  });

  it('says the tags in the event, and the time to the millisecond', () => {
    const sent = message('{}', { tags: ['a', 'b"'], at: Date.parse('2026-03-12T10:00:00.009Z') });
    expect(rendered('ada', sent, { secrets: [key24] }).text).toBe(
      '{"type":"a.b","timestamp":"2026-03-12T10:00:00.009+00:00","data":{},"tags":["a","b\\""]}',
    );
  });
});

describe('profile linkup', () => {
  it('signs time and body by the secret, and nothing without one', () => {
    const { headers, body } = rendered('linkup', message('{}'), { secrets: ['a-text-of-mine'] });
    expect(headers).toMatchObject({
      'x-linkup-timestamp': String(nowSeconds),
      'x-linkup-signature': `v1=${hmac('a-text-of-mine', `${nowSeconds}.`, body)}`,
    });
    expect(Object.keys(rendered('linkup', message('{}')).headers)).toEqual([
      ...['content-type', 'user-agent', 'webhook-id'],
    ]);
  });

  it('says a fraction of a second only where there is one', () => {
    const { text } = rendered('linkup', message('{}', { at: Date.parse('2026-03-12T10:00:00.120Z') }));
    expect(text).toContain('"timestamp":"2026-03-12T10:00:00.120Z"');
  });
});

describe('profile middesk', () => {
  it('signs the body alone, under both names, and nothing without a secret', () => {
    const { headers, body } = rendered('middesk', message('{}'), { secrets: ['a-text-of-mine'] });
    const signature = hmac('a-text-of-mine', body);
    expect(headers).toMatchObject({
      'x-middesk-signature-256': signature,
      'x-middesk-signature': signature,
    });
    expect(Object.keys(rendered('middesk', message('{}')).headers)).toEqual([
      ...['content-type', 'user-agent', 'webhook-id'],
    ]);
  });

  it('has an event id that is a UUID of the message', () => {
    const idOf = (id: string) =>
      (JSON.parse(rendered('middesk', message('{}', { id })).text) as { id: string }).id;
    const ids = ['msg_1', 'msg_1', 'msg_2'].map(idOf);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it.each([
    ['{"external_id":"e","id":"i"}', 'e'],
    ['{"external_id":null,"id":"i"}', 'i'],
    ['{"external_id":"","id":"i"}', 'i'],
    ['{"id":"i"}', 'i'],
    ['{"external_id":42,"id":"i"}', '42'],
    ['{"external_id":12345678901234567890,"id":"i"}', undefined],
    ['{"external_id":"a\\r\\nb: c","id":"i"}', undefined],
    ['{"external_id":"é","id":"i"}', undefined],
    [`{"external_id":"${'e'.repeat(257)}","id":"i"}`, undefined],
    ['{"external_id":{"a":1},"id":"i"}', undefined],
    ['{"name":"x"}', undefined],
    ['[{"id":"i"}]', undefined],
    ['null', undefined],
    ['{"object":"event","id":"evt","data":{"object":{"id":"inner"}}}', 'inner'],
  ])('tells the correlation id of %s', (payload, id) => {
    const { headers } = rendered('middesk', message(payload), { include: [] });
    expect(headers['x-correlation-id']).toBe(id);
  });

  const business =
    '{ "id":"1", "n": 1.10,\n"addresses" : [ { "a": "}]\\"" } ], "tin":{"x":[]}, "na\\u006de":{"y":1}, "ok":true, "no":null }';
  it.each([
    [null, business],
    [[], '{"id":"1","n": 1.10,"ok":true,"no":null}'],
    [['addresses'], '{"id":"1","n": 1.10,"addresses" : [ { "a": "}]\\"" } ],"ok":true,"no":null}'],
    [['name', 'id'], '{"id":"1","n": 1.10,"na\\u006de":{"y":1},"ok":true,"no":null}'],
    [['addresses', 'tin', 'name'], business],
  ])('includes %j of the object, by bytes of its own', (include, shown) => {
    const { text } = rendered('middesk', message(business), { include });
    expect(withoutId(text)).toBe(wrapped.middesk(shown));
    const event = (inner: string) =>
      ` { "x" : [1, "]"], "data": { "object" : ${inner} , "previous": {"a":1} }, "object": "event"}\n`;
    const { text: narrowed, headers } = rendered('middesk', message(event(business)), { include });
    expect(narrowed).toBe(event(shown));
    expect(headers['content-type']).toBe(
      shown === business && include === null ? 'application/json; charset=utf-8' : 'application/json',
    );
  });

  it('leaves out nothing of what is no object', () => {
    for (const payload of ['[{"a":{}}]', '"{}"', '7']) {
      const { text } = rendered('middesk', message(payload), { include: [] });
      expect(withoutId(text)).toBe(wrapped.middesk(payload));
    }
  });

  it('includes of any object what a parser would, however it is written', () => {
    const spacing = fc.constantFrom(undefined, 1, '\t');
    const object = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ noUnicodeString: false }), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(object, fc.array(fc.string()), spacing, fc.boolean(), (given, more, indent, isWhole) => {
        const value = JSON.parse(JSON.stringify(given)) as Record<string, unknown>;
        const include = [...Object.keys(value).slice(1), ...more];
        const event = isWhole ? { data: { object: value }, object: 'event' } : value;
        const { text } = rendered('middesk', message(JSON.stringify(event, null, indent)), { include });
        const expected = Object.entries(value).filter(
          ([name, member]) => typeof member !== 'object' || member === null || include.includes(name),
        );
        const { data } = JSON.parse(text) as { data: { object: unknown } };
        expect(data.object).toEqual(Object.fromEntries(expected));
      }),
      { numRuns: 300 },
    );
  });

  it('includes of an object that is nested deeper than a stack', () => {
    const deep = `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)},"b":1}`;
    expect(withoutId(rendered('middesk', message(deep), { include: [] }).text)).toBe(
      wrapped.middesk('{"b":1}'),
    );
  });
});

describe('an answer', () => {
  const statuses = [200, 201, 202, 204, 206, 299, 301, 304, 400, 404, 410, 500];
  it.each([
    ['standard', [200, 201, 202, 204, 206, 299]],
    ['ada', [200, 201, 202, 204, 206, 299]],
    ['middesk', [200, 201, 202, 204, 206, 299]],
    ['linkup', [200]],
  ] as const)('acknowledges a message of profile %s with %j', (profile, acknowledging) => {
    expect(statuses.filter((status) => isAcknowledged(profile, status))).toEqual(acknowledging);
  });
});

describe('a text as a secret', () => {
  it('is its own characters, even when it looks like a secret of another kind', () => {
    for (const text of [key24, 'whatever', '~!"\\']) {
      const { headers, body } = rendered('middesk', message('{}'), { secrets: [text] });
      expect(headers['x-middesk-signature']).toBe(hmac(text, body));
    }
    for (const text of ['', 'a b', 'a\n', 'ä', 'a\u007f']) expect(signingKey(text, 'text')).toBeNull();
  });

  it('signs no request of Standard Webhooks', () => {
    const key = signingKey('a-text-of-mine', 'text');
    if (key === null) throw new Error('not a secret');
    const endpoint = { headers: {}, secrets: [{ ...key, expiresAt: null }], include: null };
    expect(() => render('standard', message('{}'), endpoint, 1, now)).toThrow('no live signing secret');
  });

  it('signs only while it is live', () => {
    const key = signingKey('a-text-of-mine', 'text');
    if (key === null) throw new Error('not a secret');
    const at = (expiresAt: number) =>
      render(
        'linkup',
        message('{}'),
        { headers: {}, secrets: [{ ...key, expiresAt }], include: null },
        1,
        now,
      );
    expect(at(now).headers).not.toHaveProperty('x-linkup-signature');
    expect(at(now + 1).headers).toHaveProperty('x-linkup-signature');
  });
});
