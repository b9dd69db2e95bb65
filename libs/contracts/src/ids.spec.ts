import { describe, expect, it } from '@jest/globals';
import { attemptId, causedMessageId, deliveriesOf, deliveryId, isId, lowestId, newId } from './index.js';

describe('ids', () => {
  it('are a prefix and 27 base62 characters', () => {
    for (let i = 0; i < 1_000; i++) expect(newId('message')).toMatch(/^msg_[0-9A-Za-z]{27}$/);
  });

  it('agree with the KSUID of the reference implementation for the largest value', () => {
    // aWgEPTl1tmebfsQzFP4bxwgy80V is 20 bytes of 0xff: the last second, and the last of everything.
    const lastSecondMs = (0xffff_ffff + 1_400_000_000) * 1000;
    expect(newId('message', lastSecondMs).slice(4, 9)).toBe('aWgEP');
  });

  it('sort by the second they were made in', () => {
    const ids = Array.from({ length: 500 }, (_, i) => newId('endpoint', 1_790_000_000_000 + i * 1_000));
    expect([...ids].sort()).toEqual(ids);
  });

  it('do not repeat', () => {
    expect(new Set(Array.from({ length: 20_000 }, () => newId('message', 0))).size).toBe(20_000);
  });

  it('of deliveries and attempts follow from what they belong to, and sort with it', () => {
    const [message, endpoint] = [newId('message'), newId('endpoint')];
    const delivery = deliveryId(message, endpoint);
    expect(delivery).toBe(deliveryId(message, endpoint));
    expect(isId('delivery', delivery)).toBe(true);
    expect(delivery.slice(4, 10)).toBe(message.slice(4, 10));
    expect(delivery).not.toBe(deliveryId(message, newId('endpoint')));
    expect(attemptId(delivery, 1)).not.toBe(attemptId(delivery, 2));
    expect(isId('attempt', attemptId(delivery, 1))).toBe(true);
  });

  it('of attempts are their deliveries with the number added, and no two are the same', () => {
    const digits = '0SnOW'.repeat(4);
    expect(attemptId(`dlv_${digits}00Az0yz`, 1)).toBe(`att_${digits}00Az0z0`);
    expect(attemptId(`dlv_${digits}00zzzzz`, 2)).toBe(`att_${digits}0000001`);
    expect(attemptId(`dlv_${digits}0000000`, 62 ** 2 + 36)).toBe(`att_${digits}000010a`);
    const numbers = Array.from({ length: 5_000 }, (_, i) => i + 1);
    const delivery = deliveryId(newId('message'), newId('endpoint'));
    expect(new Set(numbers.map((number) => attemptId(delivery, number))).size).toBe(5_000);
  });

  it('of an attempt bound what its delivery can be', () => {
    const last = (0xffff_ffff + 1_400_000_000) * 1000;
    for (const ms of [1_400_000_000_000, 1_790_000_000_000, last]) {
      const deliveryAt = (at: number) => deliveryId(newId('message', at), newId('endpoint'));
      const delivery = deliveryAt(ms);
      const [from, before] = deliveriesOf(attemptId(delivery, 7));
      expect(from <= delivery && delivery < before).toBe(true);
      const others = [deliveryAt(ms), deliveryAt(ms === last ? ms - 10_000 : ms + 10_000)];
      expect(others.filter((other) => from <= other && other < before)).toEqual([]);
      // How an attempt's id begins tells as much: the first characters are a time.
      const [low, high] = deliveriesOf(attemptId(delivery, 7).slice(0, 10));
      expect(low <= delivery && delivery < high).toBe(true);
      expect(low <= (others[1] ?? '') && (others[1] ?? '') < high).toBe(false);
    }
  });

  it('of a message we publish ourselves follow from its cause and its time', () => {
    const at = Date.parse('2026-11-21T12:00:00Z');
    const id = causedMessageId(at, 'endpoint.disabled/ep_1');
    expect(id).toBe(causedMessageId(at, 'endpoint.disabled/ep_1'));
    expect(isId('message', id)).toBe(true);
    expect(id.startsWith(lowestId('message', at))).toBe(true);
    expect(id).not.toBe(causedMessageId(at, 'endpoint.disabled/ep_2'));
  });

  it('are told from other text', () => {
    for (const text of [
      '',
      'msg_',
      `msg_${'a'.repeat(26)}`,
      `msg_${'a'.repeat(26)}.`,
      `ep_${'a'.repeat(27)}`,
    ]) {
      expect(isId('message', text)).toBe(false);
    }
  });
});
