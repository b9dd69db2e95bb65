import { describe, expect, it } from '@jest/globals';
import { deliveryId, newId } from '@posthaste/contracts';
import { RecentAttempts } from './recent-attempts.js';

const delivery = () => deliveryId(newId('message'), newId('endpoint'));

describe('recent attempts', () => {
  it('remember each attempt of each delivery and no other', () => {
    const recent = new RecentAttempts(0);
    const ids = Array.from({ length: 5_000 }, delivery);
    for (const id of ids) recent.add(id, 2, 0);
    expect(ids.filter((id) => !recent.has(id, 2))).toEqual([]);
    expect(ids.filter((id) => recent.has(id, 1) || recent.has(id, 3))).toEqual([]);
    expect(Array.from({ length: 5_000 }, delivery).filter((id) => recent.has(id, 2))).toEqual([]);
  });

  it('tell ids apart by any one of their last 15 characters', () => {
    const recent = new RecentAttempts(0);
    const id = delivery();
    recent.add(id, 1, 0);
    for (let at = id.length - 15; at < id.length; at++) {
      const other = id.slice(0, at) + (id[at] === '0' ? '1' : '0') + id.slice(at + 1);
      expect(recent.has(other, 1)).toBe(false);
    }
  });

  it('are forgotten after one to two generations', () => {
    const recent = new RecentAttempts(0, 1_000);
    const [first, second, third] = [delivery(), delivery(), delivery()];
    recent.add(first, 1, 999);
    recent.add(second, 1, 1_000);
    expect(recent.has(first, 1)).toBe(true);
    recent.add(third, 1, 2_000);
    expect([first, second, third].map((id) => recent.has(id, 1))).toEqual([false, true, true]);
  });

  it('never hold more than two generations', () => {
    const recent = new RecentAttempts(0, 1_000, 10);
    const ids = Array.from({ length: 100 }, delivery);
    for (const id of ids) recent.add(id, 1, 0);
    const held = ids.filter((id) => recent.has(id, 1));
    expect(held).toEqual(ids.slice(80));
  });

  it('take no more memory however many there were', () => {
    const recent = new RecentAttempts(0, 1_000, 5_000);
    const ids = Array.from({ length: 20_000 }, delivery);
    const before = process.memoryUsage().arrayBuffers;
    for (const id of ids) recent.add(id, 1, 0);
    expect(process.memoryUsage().arrayBuffers).toBeLessThanOrEqual(before);
  });
});
