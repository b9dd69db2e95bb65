import { describe, expect, it } from '@jest/globals';
import { EVENT_TYPE_PATTERN, publishLimits, VISIBLE_ASCII_PATTERN } from '@posthaste/contracts';
import fc from 'fast-check';
import { retryDelayMs } from './backoff.js';
import { bringsNobodyNew, invited } from './invitations.js';
import { toRequest } from './to-request.js';
import { type UpstreamEvent, UpstreamEvents } from './upstream-events.js';

const read = (...pieces: (string | Buffer)[]) => {
  const cutter = new UpstreamEvents();
  const readings = pieces.map((piece) => cutter.read(Buffer.from(piece)));
  return {
    events: readings.flatMap(({ events }) => events),
    lastId: readings.findLast(({ lastId }) => lastId !== undefined)?.lastId,
    isTooLarge: readings.some(({ isTooLarge }) => isTooLarge),
    retryMs: cutter.retryMs,
  };
};

describe('the events of a stream', () => {
  it('have the type, the data and the id they were sent with', () => {
    expect(
      read(
        ': hello\n\nretry: 2500\n\nid: 1\nevent: a.b\ndata: {"n":\ndata: 1}\n\ndata: x\r\n\r\nid: 2\n\nevent: nothing\n\n',
      ),
    ).toEqual({
      events: [
        { id: '1', type: 'a.b', data: '{"n":\n1}' },
        { id: undefined, type: 'message', data: 'x' },
      ],
      lastId: '2',
      isTooLarge: false,
      retryMs: 2500,
    });
  });

  it('have no id that could not be sent back', () => {
    const ids = ['', 'a\tb', 'x'.repeat(1_025)];
    const { events, lastId } = read(...ids.map((id) => `id: ${id}\ndata: 1\n\n`), 'id: é€\ndata: 1\n\n');
    expect(events.map(({ id }) => id)).toEqual([undefined, undefined, undefined, 'é€']);
    expect(lastId).toBe('é€');
  });

  it('are the same wherever the bytes are cut', () => {
    const bytes = Buffer.from(
      'retry: 7\nid: é1\nevent: a\ndata: {"€":1}\n\n: k\n\ndata: 2\r\n\r\nid: 3\ndata: x\ndata: y\n\n',
    );
    const whole = read(bytes);
    expect(whole.events).toHaveLength(3);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const pieces = at.slice(1).map((to, i) => bytes.subarray(at[i], to));
        expect(read(...pieces)).toEqual(whole);
      }),
    );
  });

  it('that are too large are told before they are whole', () => {
    const piece = 'x'.repeat(publishLimits.payloadBytes / 2);
    const { events, isTooLarge } = read('data: ', piece, piece, '\n\n');
    expect([events.map(({ data }) => data.length), isTooLarge]).toEqual([
      [publishLimits.payloadBytes],
      false,
    ]);
    expect(read('data: 1\n\ndata: ', piece, piece, 'x'.repeat(5_000))).toMatchObject({
      events: [{ data: '1' }],
      isTooLarge: true,
    });
  });
});

describe('what is published for an event', () => {
  const event = (more: Partial<UpstreamEvent>): UpstreamEvent => ({ id: '1', type: 'a', data: '1', ...more });

  it('is its data, byte for byte if that is JSON, else as a JSON string', () => {
    const payload = (data: string) => toRequest(event({ data }), 's')?.payload.toString();
    expect(payload('{ "n": 1.10 }')).toBe('{ "n": 1.10 }');
    expect(payload('{"n":')).toBe('"{\\"n\\":"');
    expect(payload('plain\ntext')).toBe('"plain\\ntext"');
  });

  it('has an event id of its stream, the same for the same id, and valid whatever the id is', () => {
    const eventId = (id: string | undefined, stream = 's') => toRequest(event({ id }), stream)?.eventId;
    expect(eventId('42')).toBe('source:s:42');
    expect(eventId('42', 't')).toBe('source:t:42');
    expect(eventId(undefined)).not.toBe(eventId(undefined));
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 1_024 }), fc.string(), (id, other) => {
        const made = eventId(id, 'aBcDeFgHiJkL') ?? '';
        expect(made).toMatch(VISIBLE_ASCII_PATTERN);
        expect(made.length).toBeLessThanOrEqual(publishLimits.eventIdChars);
        expect(made === eventId(other, 'aBcDeFgHiJkL')).toBe(id === other);
      }),
    );
  });

  it('is nothing for a type that is not well-formed', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 200 }), (type) => {
        const isFine = type.length <= publishLimits.eventTypeChars && EVENT_TYPE_PATTERN.test(type);
        expect(toRequest(event({ type }), 's') !== null).toBe(isFine);
      }),
    );
  });
});

describe('invitations', () => {
  const invitation = (data: unknown) => {
    const request = toRequest({ id: '1', type: 'accepted_invitation', data: JSON.stringify(data) }, 's');
    return request ? invited(request) : [];
  };

  it('name the connections they bring, bare or in the wrapper, by id and by profile', () => {
    const new_connections = [{ id: 7, profile_url: 'https://x/7' }, { id: 'a' }, { name: 'nobody' }, null];
    const names = [['7', 'https://x/7'], ['a'], [], []];
    expect(invitation({ new_connections })).toEqual(names);
    expect(invitation({ account_id: 'x', event: { new_connections } })).toEqual(names);
    for (const odd of [null, 1, 'text', [], { new_connections: 'none' }, { event: null }]) {
      expect(invitation(odd)).toEqual([]);
    }
    expect(invitation({ new_connections: [{ id: 'a\0b' }, { id: 'x'.repeat(501) }] })).toEqual([[], []]);
  });

  it('bring nobody new only if everybody is known by some name', () => {
    const known = new Set(['a', 'b']);
    expect(bringsNobodyNew([['a'], ['x', 'b']], known)).toBe(true);
    expect(bringsNobodyNew([['a'], ['c']], known)).toBe(false);
    expect(bringsNobodyNew([['a'], []], known)).toBe(false);
    expect(bringsNobodyNew([], known)).toBe(false);
  });
});

describe('the wait before another connection', () => {
  it('doubles from a second, or from what the stream asked for, up to a minute', () => {
    const waits = (retryMs?: number) =>
      [1, 2, 3, 7, 50].map((attempt) => retryDelayMs(attempt, retryMs, 0.5));
    expect(waits()).toEqual([1_000, 2_000, 4_000, 60_000, 60_000]);
    expect(waits(500)).toEqual([500, 1_000, 2_000, 32_000, 60_000]);
    expect(waits(0)[0]).toBe(100);
    expect(waits(1e9)[0]).toBe(60_000);
  });

  it('is moved by a fifth at most, and never beyond a minute', () => {
    expect([0, 1].map((random) => retryDelayMs(1, undefined, random))).toEqual([800, 1_200]);
    expect(retryDelayMs(9, undefined, 1)).toBe(60_000);
  });
});
