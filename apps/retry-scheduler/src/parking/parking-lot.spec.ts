import { beforeEach, describe, expect, it } from '@jest/globals';
import type { DeliveryEvent } from '@posthaste/contracts';
import { attempted, cancelled, deferred, deliveryOf, endpointOf, sampleMessage } from '../sample-facts.js';
import { ParkingLot } from './parking-lot.js';

let now = 0;
let woken = 0;
let bounces = 0;
let lot: ParkingLot;
beforeEach(() => {
  [now, woken, bounces] = [0, 0, 0];
  lot = new ParkingLot({ now: () => now, onRoom: () => woken++, onBounce: () => bounces++ });
});

const rowsOf = (endpoint: string, count: number) =>
  Array.from({ length: count }, (_, n) => ({ endpoint, delivery: `${endpoint}/${n}` }));

describe('the parking lot', () => {
  it('lets a due delivery go at once while its lane has room and nothing parked', () => {
    const admitted = rowsOf('a', 30).filter((row) => lot.admit(row.endpoint, row.delivery));
    expect(admitted).toHaveLength(20);
    lot.park(['b']);
    expect(lot.admit('b', 'b/0')).toBe(false);
    expect(lot.admit('c', 'c/0')).toBe(true);
  });

  it('claims a like part for each lane, and those that waited longest first', () => {
    const endpoints = Array.from({ length: 15 }, (_, n) => `lane${n}`);
    lot.park(endpoints);
    const turn = (): string[] => {
      const claims = lot.takeTurn(10);
      lot.claimed(
        claims,
        claims.map(({ endpoint }) => ({ endpoint, delivery: `${endpoint}/${now++}` })),
      );
      return claims.map(({ endpoint, limit }) => `${endpoint} ${limit}`);
    };
    expect(turn()).toEqual(endpoints.slice(0, 10).map((endpoint) => `${endpoint} 1`));
    expect(turn()).toEqual([...endpoints.slice(10), ...endpoints.slice(0, 5)].map((lane) => `${lane} 1`));
    lot = new ParkingLot();
    lot.park(['a', 'b', 'c']);
    expect(lot.takeTurn(10).map(({ limit }) => limit)).toEqual([3, 3, 3]);
  });

  it('knows a lane for empty when a claim found less than it asked for, unless some was parked meanwhile', () => {
    lot.park(['a', 'b', 'c']);
    const claims = lot.takeTurn(30);
    lot.park(['b']);
    lot.claimed(claims, [...rowsOf('a', 9), ...rowsOf('b', 9), ...rowsOf('c', 10)]);
    expect(lot.lanes).toBe(2);
    expect(lot.takeTurn(30).map(({ endpoint }) => endpoint)).toEqual(['b', 'c']);
  });

  it('is woken by an answer that makes room in a lane with parked deliveries, and by no other', () => {
    const [message, other] = [sampleMessage(), sampleMessage()];
    const endpoint = endpointOf(message);
    lot.park([endpoint]);
    const row = { endpoint, delivery: deliveryOf(message) };
    lot.claimed(lot.takeTurn(20), [row, ...rowsOf(endpoint, 19)]);
    expect(lot.msUntilRoom()).toBe(60_000);
    woken = 0;
    lot.notice(attempted(other, 1, { kind: 'delivered' }));
    expect(woken).toBe(0);
    lot.notice(attempted(message, 2, { kind: 'delivered' }));
    expect([woken, lot.msUntilRoom()]).toEqual([1, 0]);
  });

  it('holds a lane for what its breaker says to a fresh publish, and counts no bounce', () => {
    const message = sampleMessage();
    lot.park([endpointOf(message)]);
    lot.notice(deferred(message, 1, Date.now() + 30_000, 'breaker_open'));
    expect(lot.takeTurn(10)).toEqual([]);
    expect(lot.msUntilRoom()).toBeGreaterThan(29_000);
    now = 30_001;
    expect(lot.takeTurn(10)).toEqual([{ endpoint: endpointOf(message), limit: 1 }]);
    expect(bounces).toBe(0);
  });

  it.each<[string, (message: ReturnType<typeof sampleMessage>) => DeliveryEvent, number]>([
    ['a bounce', (message) => deferred(message, 2, Date.now() + 5_000), 1],
    ['a deferral that is none of the lane', (message) => deferred(message, 2, 0, 'behind_key'), 0],
    ['a cancellation', (message) => cancelled(message, 2), 0],
  ])('takes %s for the answer to a release', (_, event, expectedBounces) => {
    const message = sampleMessage();
    const endpoint = endpointOf(message);
    lot.admit(endpoint, deliveryOf(message));
    lot.notice(event(message));
    expect(bounces).toBe(expectedBounces);
    lot.notice(event(message));
    expect(bounces).toBe(expectedBounces);
    lot.prune();
    // Pruned: nothing of it is on its way, so the lane is as good as unknown.
    expect(rowsOf(endpoint, 30).filter((row) => lot.admit(endpoint, row.delivery))).toHaveLength(20);
  });

  it('makes room again for what was not released after all, and forgets what is idle only', () => {
    const admit = (): number => rowsOf('a', 30).filter((row) => lot.admit('a', row.delivery)).length;
    expect(admit()).toBe(20);
    lot.prune();
    expect(lot.admit('a', 'one more')).toBe(false);
    lot.forget(rowsOf('a', 20));
    expect(admit()).toBe(20);
  });
});
