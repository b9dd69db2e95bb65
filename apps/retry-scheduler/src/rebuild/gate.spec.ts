import { describe, expect, it } from '@jest/globals';
import type { ProjectionBatch, ProjectionStore } from '@posthaste/event-log';
import { seededRandom } from '@posthaste/test-kit';
import { Gate } from './gate.js';

const topic = 'deliveries';
const batch = (partition: number, from: number, next: number, offsets?: number[]): ProjectionBatch => ({
  ...{ topic, partition, from, next },
  records: (offsets ?? Array.from({ length: next - from }, (_, i) => from + i)).map((offset) => ({
    ...{ key: '', value: Buffer.alloc(0), offset, appendedAt: 1_000 + offset },
  })),
});

/** Keeps what it is given, and takes some turns of the event loop for it. */
class SlowStore implements ProjectionStore {
  readonly given: ProjectionBatch[] = [];
  isBusy = false;

  loadPositions(): Promise<never[]> {
    return Promise.resolve([]);
  }

  async apply(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    this.isBusy = true;
    await new Promise((resolve) => setImmediate(resolve));
    this.given.push(...batches);
    this.isBusy = false;
    return 'applied';
  }

  reach(partition: number): number {
    return this.given.findLast((one) => one.partition === partition)?.next ?? 0;
  }

  offsets(partition: number): number[] {
    return this.given
      .filter((one) => one.partition === partition)
      .flatMap(({ records }) => records.map(({ offset }) => offset));
  }
}

const gateTo = (store: SlowStore) => {
  const gaps: { partition: number; until: number }[] = [];
  const onGap = (gap: { partition: number; until: number }): Promise<void> => {
    gaps.push(gap);
    return Promise.resolve();
  };
  return { gate: new Gate(store, onGap), gaps };
};

describe('a gate', () => {
  it('stops at its bounds exactly, and loses and repeats nothing, however they move', async () => {
    const random = seededRandom();
    for (let round = 0; round < 50; round++) {
      const store = new SlowStore();
      const { gate } = gateTo(store);
      const applying = (async () => {
        for (let from = 0; from < 60; from += 6) {
          expect(await gate.apply([batch(0, from, from + 6), batch(1, from, from + 6)])).toBe('applied');
        }
      })();
      for (let move = 0; move < 5; move++) {
        for (let turns = random.below(8); turns > 0; turns--) await new Promise((done) => setImmediate(done));
        await gate.hold();
        expect(store.isBusy).toBe(false);
        const reached = [0, 1].map((partition) => store.reach(partition));
        const bounds = reached.map((offset, partition) => ({
          ...{ topic, partition },
          offset: offset + random.below(10),
        }));
        gate.limit(bounds);
        // One batch holds both up where one of them is at its bound: it is given in parts.
        for (let turns = 0; turns < 20; turns++) await new Promise((done) => setImmediate(done));
        for (const { partition, offset } of bounds)
          expect(store.reach(partition)).toBeLessThanOrEqual(offset);
        if (random.below(2) === 0) gate.open();
      }
      gate.open();
      await applying;
      for (const partition of [0, 1]) {
        expect(store.offsets(partition)).toEqual(Array.from({ length: 60 }, (_, i) => i));
        const steps = store.given.filter((one) => one.partition === partition);
        expect(steps.slice(1).map(({ from }) => from)).toEqual(steps.slice(0, -1).map(({ next }) => next));
      }
    }
  });

  it('gives back what waits when it is closed', async () => {
    const store = new SlowStore();
    const { gate } = gateTo(store);
    gate.limit([{ topic, partition: 0, offset: 3 }]);
    const applying = gate.apply([batch(0, 0, 6)]);
    // While what is within the bounds is being written, and afterwards.
    gate.close();
    expect(await applying).toBe('conflict');
    expect(await gate.apply([batch(0, 3, 6)])).toBe('conflict');
    expect(store.offsets(0)).toEqual([0, 1, 2]);
  });

  it('tells of records that are gone from the log, before it goes on behind them', async () => {
    const store = new SlowStore();
    const { gate, gaps } = gateTo(store);
    await gate.apply([batch(0, 0, 3), batch(1, 0, 8, [5, 6, 7])]);
    expect(gaps).toEqual([{ partition: 1, until: 1_005 }]);
    await gate.apply([batch(0, 3, 8, [3, 6, 7])]);
    expect(gaps.slice(1)).toEqual([{ partition: 0, until: 1_006 }]);
    const before = Date.now();
    await gate.apply([batch(0, 8, 12, [])]);
    expect(gaps[2]?.until).toBeGreaterThanOrEqual(before);
  });
});
