import { describe, expect, it } from '@jest/globals';
import { PublishMessage, publishLimits } from '@posthaste/contracts';
import fc from 'fast-check';
import { readBatch, readEnvelope } from './envelope.js';
import type { Reading } from './publish-request.js';

const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);

/** The text of a JSON value with white space wherever it may stand. */
const spacedJson: fc.Arbitrary<string> = fc
  .tuple(fc.jsonValue({ maxDepth: 4 }), fc.infiniteStream(space))
  .map(([value, spaces]) => {
    const gap = (): string => spaces.next().value as string;
    const write = (item: unknown): string => {
      if (Array.isArray(item)) return `[${gap()}${item.map(write).join(`${gap()},${gap()}`)}${gap()}]`;
      if (typeof item !== 'object' || item === null) return JSON.stringify(item);
      const members = Object.entries(item).map(
        ([k, v]) => `${JSON.stringify(k)}${gap()}:${gap()}${write(v)}`,
      );
      return `{${gap()}${members.join(`${gap()},${gap()}`)}${gap()}}`;
    };
    return write(value);
  });

function faults(reading: Reading<unknown>): unknown {
  if (reading.ok) return 'accepted';
  const { status, code, errors } = reading.problem;
  return [
    status,
    code,
    ...errors.map((error) => `${error.pointer} ${error.code} ${error.offset ?? ''}`.trim()),
  ];
}

const read = (text: string): Reading<unknown> => readEnvelope(Buffer.from(text));

describe('the envelope', () => {
  it('keeps the bytes of any payload, wherever it stands', () => {
    fc.assert(
      fc.property(spacedJson, fc.infiniteStream(space), fc.boolean(), (payload, spaces, first) => {
        const gap = (): string => spaces.next().value as string;
        const members = [`"payload"${gap()}:${gap()}${payload}`, `"event_type"${gap()}:${gap()}"a.b"`];
        if (!first) members.reverse();
        const text = `${gap()}{${gap()}${members.join(`${gap()},${gap()}`)}${gap()}}${gap()}`;
        const reading = readEnvelope(Buffer.from(text));
        if (!reading.ok) throw reading.problem;
        expect(reading.value.payload.toString()).toBe(payload);
        expect(reading.value.eventType).toBe('a.b');
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps what parsing and writing again would change', () => {
    const payload =
      '{"n":12345678901234567890,"d":1.10,"a":1,"a":2,"u":"\\u00e9\\/","z":-0, "s" : "\u2028" }';
    const reading = readEnvelope(Buffer.from(`{"event_type":"x","payload":${payload}}`));
    expect(reading.ok && reading.value.payload.toString()).toBe(payload);
  });

  it('is of one opinion with the schema in contracts', () => {
    const label = fc.oneof(
      fc.string(),
      fc.constantFrom('a', 'b,c', '', 'é', '\ud800', 'x'.repeat(128), 'x'.repeat(129)),
      fc.integer(),
    );
    const envelope = fc.record(
      {
        event_type: fc.oneof(
          fc.stringMatching(/^[a-z_]{1,3}(\.[A-Z0-9]{1,2}){0,2}\.?$/),
          fc.constantFrom('', 'a'.repeat(128), 'a'.repeat(129), 'a..b', 'ä'),
          fc.integer(),
        ),
        payload: fc.jsonValue(),
        channels: fc.oneof(fc.array(label, { maxLength: 11 }), fc.jsonValue()),
        tags: fc.oneof(fc.array(label, { maxLength: 11 }), fc.constant(null)),
        event_id: fc.oneof(fc.string(), fc.constantFrom('e'.repeat(255), 'e'.repeat(256)), fc.integer()),
        ordering_key: fc.oneof(fc.string(), fc.constantFrom('k'.repeat(255), 'k'.repeat(256)), fc.integer()),
        unheard_of: fc.string(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(envelope, (value) => {
        const bySchema = PublishMessage.safeParse(value).success && 'payload' in value;
        expect(read(JSON.stringify(value)).ok).toBe(bySchema);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['[]', [422, 'validation_failed', 'wrong_type']],
    ['{}', [422, 'validation_failed', '/event_type required', '/payload required']],
    [
      '{"event_type":"a","payload":1,"unheard_of":"k"}',
      [422, 'validation_failed', '/unheard_of unknown_field'],
    ],
    ['{"event_type":"a","payload":1,"a/b~":1}', [422, 'validation_failed', '/a~1b~0 unknown_field']],
    ['{"event_type":"a","payload":1,"payload":2}', [422, 'validation_failed', '/payload duplicate_field']],
    [
      '{"event_type":"a","payload":1,"p\\u0061yload":2}',
      [422, 'validation_failed', '/payload duplicate_field'],
    ],
    ['{"event_type":"a","payload":1,"__proto__":{}}', [422, 'validation_failed', '/__proto__ unknown_field']],
    ['{"event_type":7,"payload":1}', [422, 'validation_failed', '/event_type wrong_type']],
    ['{"event_type":"a.","payload":1}', [422, 'validation_failed', '/event_type invalid_format']],
    ['{"event_type":"a","payload":1,"channels":"c"}', [422, 'validation_failed', '/channels wrong_type']],
    [
      '{"event_type":"a","payload":1,"tags":["t",null,"a,b"]}',
      [422, 'validation_failed', '/tags/1 wrong_type', '/tags/2 invalid_format'],
    ],
    [
      '{"event_type":"a","payload":1,"event_id":"a b"}',
      [422, 'validation_failed', '/event_id invalid_format'],
    ],
    [
      '{"event_type":"a","payload":1,"ordering_key":"a b"}',
      [422, 'validation_failed', '/ordering_key invalid_format'],
    ],
    ['{"event_type":"a","payload":}', [400, 'malformed_json', 'malformed_json 28']],
    ['{"event_type":"a","payload":1', [400, 'malformed_json', 'malformed_json 29']],
    ['', [400, 'malformed_json', 'malformed_json 0']],
    [`{"event_type":"a","payload":${'['.repeat(64)}${']'.repeat(64)}}`, 'accepted'],
    [
      `{"event_type":"a","payload":${'['.repeat(65)}${']'.repeat(65)}}`,
      [400, 'invalid_request', 'too_deep 92'],
    ],
    [`{"x":${'['.repeat(33)}${']'.repeat(33)}}`, [400, 'invalid_request', 'too_deep 37']],
  ])('%s', (text, expected) => {
    expect(faults(read(text))).toEqual(expected);
  });

  it('says where bytes stop being UTF-8', () => {
    const good = Buffer.from('{"event_type":"a","payload":"é😀');
    for (const bad of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf0, 0x9f]]) {
      const body = Buffer.concat([good, Buffer.from(bad), Buffer.from('"}')]);
      expect(faults(readEnvelope(body))).toEqual([400, 'malformed_json', `malformed_json ${good.length}`]);
    }
  });

  it('takes a payload of exactly 256 KB, and not one byte more', () => {
    const ofBytes = (bytes: number): string => `{"event_type":"a","payload":"${'x'.repeat(bytes - 2)}"}`;
    expect(faults(read(ofBytes(publishLimits.payloadBytes)))).toBe('accepted');
    expect(faults(read(ofBytes(publishLimits.payloadBytes + 1)))).toEqual([
      413,
      'payload_too_large',
      '/payload too_large',
    ]);
  });

  it('names at most twenty faults', () => {
    const text = `{${Array.from({ length: 50 }, (_, i) => `"x${i}":1`).join()}}`;
    const reading = read(text);
    expect(!reading.ok && reading.problem.errors.length).toBe(20);
  });
});

describe('a batch', () => {
  const batch = (...messages: string[]): Reading<unknown> =>
    readBatch(Buffer.from(`{"messages":[${messages.join()}]}`));
  const good = '{"event_type":"a","payload":{"n":1.0}}';

  it('reads its messages in order, with their exact bytes', () => {
    const reading = readBatch(
      Buffer.from(`{ "messages" : [ ${good} , {"payload": 2.50 ,"event_type":"b"} ] }`),
    );
    expect(reading.ok && reading.value.map((m) => [m.eventType, m.payload.toString()])).toEqual([
      ['a', '{"n":1.0}'],
      ['b', '2.50'],
    ]);
  });

  it.each([
    [
      batch(good, good, good, '{"event_type":"!","payload":1}'),
      [422, 'validation_failed', '/messages/3/event_type invalid_format'],
    ],
    [batch(good, '7'), [422, 'validation_failed', '/messages/1 wrong_type']],
    [batch(good, '{"event_type":"a"}'), [422, 'validation_failed', '/messages/1/payload required']],
    [batch(), [422, 'validation_failed', '/messages too_few']],
    [batch(...Array<string>(101).fill(good)), [422, 'validation_failed', '/messages too_many']],
    [batch(...Array<string>(100).fill(good)), 'accepted'],
    [batch(good, '{"event_type"'), [400, 'malformed_json', 'malformed_json 65']],
    [readBatch(Buffer.from('{}')), [422, 'validation_failed', '/messages required']],
    [readBatch(Buffer.from('{"messages":{}}')), [422, 'validation_failed', '/messages wrong_type']],
    [
      readBatch(Buffer.from(`{"messages":[${good}],"messages":[]}`)),
      [422, 'validation_failed', '/messages duplicate_field'],
    ],
    [readBatch(Buffer.from(`{"messages":[${good}],"x":1}`)), [422, 'validation_failed', '/x unknown_field']],
  ])('%#', (reading, expected) => {
    expect(faults(reading)).toEqual(expected);
  });
});
