import { describe, expect, it } from '@jest/globals';
import { type Held, OwnedPartition } from './owned-partition.js';

function own(committed: number | null = null, metadata = ''): { partition: OwnedPartition; total: Held } {
  const total = { bytes: 0, routes: 0 };
  const ref = { topic: 'messages', partition: 3, committed, metadata };
  return { partition: new OwnedPartition(ref, total, () => undefined, 0), total };
}

describe('a partition in work', () => {
  it('is committed up to the first record with a route to go, and remembers what is done above', () => {
    const { partition, total } = own();
    const [fanOut, next, last] = [
      partition.take(0, 10, 2),
      partition.take(1, 10, 1),
      partition.take(2, 10, 1),
    ];
    fanOut?.routeDone();
    next?.routeDone();
    expect(partition.commit()).toMatchObject({ topic: 'messages', partition: 3, next: 0 });
    expect(total).toEqual({ bytes: 20, routes: 2 });

    const restarted = own(0, partition.commit().metadata).partition;
    expect([0, 1, 2].map((offset) => restarted.take(offset, 10, 1) !== null)).toEqual([true, false, true]);

    fanOut?.routeDone();
    expect(partition.commit().next).toBe(2);
    last?.routeDone();
    expect(partition.commit()).toMatchObject({ next: 3, metadata: '' });
    expect(total).toEqual({ bytes: 0, routes: 0 });
  });

  it('is crowded half full, for a minute after work for two endpoints came along', () => {
    const { partition } = own();
    const seesAt = (endpoint: string, now: number): boolean => {
      partition.sees(endpoint, now);
      return partition.isCrowded;
    };
    for (let offset = 0; offset < 1_001; offset++) partition.take(offset, 10, 1);
    expect([seesAt('ep_a', 0), seesAt('ep_a', 1), seesAt('ep_b', 2)]).toEqual([false, false, true]);
    partition.recordDone(0, 10);
    expect(partition.isCrowded).toBe(false);
    partition.take(1_001, 10, 1);
    expect([seesAt('ep_b', 60_001), seesAt('ep_b', 60_002)]).toEqual([true, false]);
  });

  it('is crowded by what the whole process holds, too', () => {
    const { partition } = own();
    for (const endpoint of ['ep_a', 'ep_b']) partition.sees(endpoint, 0);
    partition.take(0, 10, 25_000);
    expect(partition.isCrowded).toBe(false);
    partition.take(1, 10, 1);
    expect(partition.isCrowded).toBe(true);
  });

  it('does a record without routes at once', () => {
    const { partition } = own();
    partition.take(0, 10, 0);
    expect(partition.commit().next).toBe(1);
  });

  it('frees what it held when it is lost, and work that ends later counts no more', () => {
    const { partition, total } = own();
    const record = partition.take(0, 10, 1);
    partition.lose();
    expect(total).toEqual({ bytes: 0, routes: 0 });
    record?.routeDone();
    expect(record?.isLost).toBe(true);
    expect(partition.commit().next).toBe(0);
    expect(total).toEqual({ bytes: 0, routes: 0 });
  });

  it('leaving starts nothing more, and waits for what was started to end and count', async () => {
    const { partition } = own();
    const [started, waiting] = [partition.take(0, 10, 1), partition.take(1, 10, 1)];
    started?.routeStarted();
    let hasLeft = false;
    const leaving = partition.leave(60_000).then(() => (hasLeft = true));
    expect([started?.isLost, waiting?.isLost]).toEqual([true, true]);
    await Promise.resolve();
    expect(hasLeft).toBe(false);
    started?.routeDone();
    await leaving;
    expect(partition.commit().next).toBe(1);
  });

  it('leaving waits no longer than told, and not at all for what was never started', async () => {
    const { partition } = own();
    const record = partition.take(0, 10, 1);
    await partition.leave(60_000);
    record?.routeStarted();
    await partition.leave(1);
    expect(partition.commit().next).toBe(0);
  });

  it('is full at 80 percent of its records or bytes, and half empty at 50', () => {
    const { partition } = own();
    const taken = Array.from({ length: 1_599 }, (_, offset) => partition.take(offset, 1, 1));
    expect(partition.isFull).toBe(false);
    taken.push(partition.take(1_599, 1, 1));
    expect(partition.isFull).toBe(true);
    for (const record of taken.slice(0, 599)) record?.routeDone();
    expect(partition.isHalfEmpty).toBe(false);
    taken[599]?.routeDone();
    expect(partition.isHalfEmpty).toBe(true);
    partition.take(1_600, 12_800_000, 1);
    expect(partition.isFull).toBe(true);
  });
});
