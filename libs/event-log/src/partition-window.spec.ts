import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PartitionWindow } from './partition-window.js';

describe('the window of a partition', () => {
  it('moves its watermark over what is done from below, and counts what is held', () => {
    const window = new PartitionWindow(10);
    for (const offset of [10, 11, 12, 13]) expect(window.add(offset, 100)).toBe(true);
    window.done(11);
    window.done(12);
    expect([window.lowWatermark, window.records, window.bytes]).toEqual([10, 2, 200]);
    window.done(10);
    expect([window.lowWatermark, window.records, window.bytes]).toEqual([13, 1, 100]);
    window.done(13);
    expect([window.lowWatermark, window.records, window.bytes]).toEqual([14, 0, 0]);
  });

  it('takes a record once, whatever comes again after a rejoin', () => {
    const window = new PartitionWindow(0);
    expect(window.add(0, 1)).toBe(true);
    expect(window.add(0, 1)).toBe(false);
    window.done(0);
    window.done(0);
    expect(window.add(0, 1)).toBe(false);
    expect([window.records, window.bytes, window.lowWatermark]).toEqual([0, 0, 1]);
  });

  it('skips after a restart what was done above the watermark, and nothing else', () => {
    const before = new PartitionWindow(100);
    for (let offset = 100; offset < 110; offset++) before.add(offset, 5);
    for (const offset of [100, 101, 105, 109]) before.done(offset);
    const after = PartitionWindow.resume(before.lowWatermark, before.metadata());
    const taken = Array.from({ length: 11 }, (_, i) => 100 + i).filter((offset) => after.add(offset, 5));
    expect(taken).toEqual([102, 103, 104, 106, 107, 108, 110]);
  });

  it('keeps what it knows over a second restart before the records were met again', () => {
    const before = new PartitionWindow(0);
    for (let offset = 0; offset < 7; offset++) before.add(offset, 1);
    for (const offset of [3, 5]) before.done(offset);
    const first = PartitionWindow.resume(before.lowWatermark, before.metadata());
    first.add(0, 1);
    const second = PartitionWindow.resume(first.lowWatermark, first.metadata());
    expect([0, 1, 2, 3, 4, 5].filter((offset) => second.has(offset))).toEqual([3, 5]);
  });

  it('remembers any number of finished records above one that hangs', () => {
    const window = new PartitionWindow(0);
    for (let offset = 0; offset < 50_000; offset++) window.add(offset, 1);
    for (let offset = 1; offset < 50_000; offset++) if (offset !== 30_000) window.done(offset);
    expect(window.metadata().length).toBeLessThan(20);
    const after = PartitionWindow.resume(0, window.metadata());
    const taken = Array.from({ length: 50_001 }, (_, i) => i).filter((offset) => after.add(offset, 1));
    expect(taken).toEqual([0, 30_000, 50_000]);
  });

  it('reaches less far when more is open than fits 4,096 characters, and forgets only what is done', () => {
    const window = new PartitionWindow(0);
    for (let offset = 0; offset < 20_000; offset++) window.add(offset, 1);
    for (let offset = 1; offset < 20_000; offset += 2) window.done(offset);
    expect(window.metadata().length).toBeLessThanOrEqual(4_096);
    const after = PartitionWindow.resume(0, window.metadata());
    const taken = Array.from({ length: 20_000 }, (_, i) => i).filter((offset) => after.add(offset, 1));
    expect(taken.filter((offset) => offset % 2 === 0)).toHaveLength(10_000);
    expect(taken.length).toBeLessThan(17_500);
  });

  it.each(['', 'no list: ***', 'open:', 'open:////', 'AAAA'])('repeats all after metadata %j', (metadata) => {
    const window = PartitionWindow.resume(7, metadata);
    expect([7, 8, 9, 5_000].filter((offset) => window.add(offset, 1))).toEqual([7, 8, 9, 5_000]);
  });

  it('steps over gaps of any size without growing', () => {
    const window = new PartitionWindow(0);
    window.add(3, 1);
    window.done(3);
    window.add(9_000_000_000_000, 1);
    expect(window.lowWatermark).toBe(9_000_000_000_000);
    window.done(9_000_000_000_000);
    expect(window.lowWatermark).toBe(9_000_000_000_001);
  });

  it('agrees with a simple model for any offsets, order of being done, and restarts', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), gap: fc.nat(40), bytes: fc.nat(1_000) }),
      fc.record({ do: fc.constant('done' as const), pick: fc.nat() }),
      fc.record({ do: fc.constant('restart' as const) }),
    );
    fc.assert(
      fc.property(fc.nat(1_000), fc.array(step, { maxLength: 400 }), (start, steps) => {
        let window = new PartitionWindow(start);
        let held = new Map<number, number>();
        let next = start;
        const finished = new Set<number>();
        const written: { offset: number; bytes: number }[] = [];
        const lowest = (): number => Math.min(next, ...held.keys());
        for (const action of steps) {
          if (action.do === 'add') {
            const record = {
              offset: (written.at(-1)?.offset ?? start - 1) + 1 + action.gap,
              bytes: action.bytes,
            };
            written.push(record);
            if (window.add(record.offset, record.bytes)) held.set(record.offset, record.bytes);
            next = record.offset + 1;
          } else if (action.do === 'done') {
            const offset = [...held.keys()][action.pick % Math.max(1, held.size)];
            if (offset === undefined) continue;
            window.done(offset);
            held.delete(offset);
            finished.add(offset);
          } else {
            window = PartitionWindow.resume(window.lowWatermark, window.metadata());
            held = new Map();
            for (const { offset, bytes } of written) if (window.add(offset, bytes)) held.set(offset, bytes);
            // So few fit: exactly what is finished is not taken again.
            for (const { offset } of written) expect(held.has(offset)).toBe(!finished.has(offset));
          }
          if (held.size > 0) expect(window.lowWatermark).toBe(lowest());
          expect(window.records).toBe(held.size);
          expect(window.bytes).toBe([...held.values()].reduce((sum, bytes) => sum + bytes, 0));
        }
      }),
      { numRuns: 200 },
    );
  });
});
