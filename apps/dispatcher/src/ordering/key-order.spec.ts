import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { KeyOrder, type OrderedJob } from './key-order.js';

const job = (position: number, asOf?: number, orderingKey = 'k'): OrderedJob => ({
  endpoint: 'ep_1',
  orderingKey,
  position,
  asOf,
});

describe('the order of a key', () => {
  it('sends one at a time, in order of position', () => {
    const order = new KeyOrder();
    const [first, second, third] = [job(1), job(2), job(3)];
    expect([first, third, second].map((entered) => order.enter(entered))).toEqual(['go', 'wait', 'wait']);
    expect(order.ended(first, false, 10)).toEqual({ go: second, away: [] });
    expect(order.ended(second, false, 11)).toEqual({ go: third, away: [] });
    expect(order.ended(third, false, 12)).toEqual({ go: undefined, away: [] });
    expect(order.size).toBe(0);
  });

  it('sends away what comes after one that is owed, and takes it back in order', () => {
    const order = new KeyOrder();
    const [first, second] = [job(1), job(2)];
    order.enter(first);
    order.enter(second);
    expect(order.ended(first, true, 10)).toEqual({ go: undefined, away: [second] });
    order.ended(second, true, 11);
    expect(order.enter(job(3))).toBe('away');
    const again = job(1, 12);
    expect(order.enter(again)).toBe('go');
    expect(order.ended(again, false, 13)).toEqual({ go: undefined, away: [] });
    expect(order.enter(job(3, 14))).toBe('go');
  });

  it('does not believe that earlier ones are settled when they went away later than that was known', () => {
    const order = new KeyOrder();
    const first = job(1);
    order.enter(first);
    order.ended(first, true, 10);
    expect(order.enter(job(2, 10))).toBe('away');
    expect(order.enter(job(2, 11))).toBe('go');
  });

  it('lets go of none that was read twice', () => {
    const order = new KeyOrder();
    const [first, again, second] = [job(1), job(1), job(2)];
    expect([first, again, second].map((entered) => order.enter(entered))).toEqual(['go', 'wait', 'wait']);
    expect(order.ended(first, true, 10)).toEqual({ go: undefined, away: [again, second] });
    order.ended(again, true, 11);
    order.ended(second, true, 12);
    expect(order.enter(job(1, 13))).toBe('go');
  });

  it('leaves other keys alone', () => {
    const order = new KeyOrder();
    const first = job(1);
    order.enter(first);
    order.ended(first, true, 10);
    expect(order.enter(job(2, undefined, 'other'))).toBe('go');
    expect(order.enter(job(3))).toBe('away');
  });

  it('keeps a hundred here at most', () => {
    const order = new KeyOrder();
    const turns = Array.from({ length: 103 }, (_, i) => order.enter(job(i)));
    expect(turns.slice(0, 101)).toEqual(['go', ...Array.from({ length: 100 }, () => 'wait')]);
    expect(turns.slice(101)).toEqual(['away', 'away']);
    const others = Array.from({ length: 10 }, (_, key) =>
      Array.from({ length: 50 }, (_, i) => order.enter(job(1_000 + i, undefined, `other ${key}`))),
    ).flat();
    expect(others.filter((turn) => turn === 'wait')).toHaveLength(300);
    expect(others.filter((turn) => turn === 'go')).toHaveLength(10);
  });

  it('whatever fails, is put off, is read twice or brought back too early: successes are in order, and all succeed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.infiniteStream(fc.nat(10)), (count, stream) => {
        const choice = (): number => stream.next().value as number;
        const succeeded: number[] = [];
        const order = new KeyOrder();
        /** The log: offsets of events. The scheduler: what is owed, as far as it has read. */
        let offset = 0;
        const owed = new Map<number, number>();
        const running: OrderedJob[] = [];
        /** Of one that is settled nothing is owed, whatever a repeat of it comes to. */
        const owe = (position: number): void => {
          if (!succeeded.includes(position)) owed.set(position, offset);
        };
        const comeTo = (entered: OrderedJob): void => {
          const turn = order.enter(entered);
          if (turn === 'go') running.push(entered);
          if (turn === 'away') putOff(entered);
        };
        const putOff = (away: OrderedJob): void => {
          owe(away.position);
          follow(order.ended(away, true, offset++));
        };
        const follow = ({ go, away }: { go: OrderedJob | undefined; away: OrderedJob[] }): void => {
          if (go) running.push(go);
          away.forEach(putOff);
        };
        let published = 0;
        for (let step = 0; succeeded.length < count && step < 10_000; step++) {
          const what = choice();
          if (what < 3 && published < count) comeTo(job(published++));
          else if (what < 6 && owed.size > 0) {
            // The first of its key; sometimes a later one, from a scheduler that has forgotten what it released.
            const positions = [...owed.keys()].sort((a, b) => a - b);
            const position = positions[what === 5 ? positions.length - 1 : 0] as number;
            const isFirst = position === positions[0];
            owed.delete(position);
            comeTo(job(position, isFirst ? offset : 0));
          } else if (what === 10 && published > 0) {
            // A record that a killed process had read.
            comeTo(job(choice() % published));
          } else if (running.length > 0) {
            expect(running).toHaveLength(1);
            const [ending] = running.splice(0, 1) as [OrderedJob];
            const fails = what === 9;
            if (fails) owe(ending.position);
            else owed.delete(ending.position);
            if (!fails && !succeeded.includes(ending.position)) succeeded.push(ending.position);
            follow(order.ended(ending, fails, offset++));
          }
        }
        expect(succeeded).toEqual(Array.from({ length: count }, (_, i) => i));
      }),
      { numRuns: 500 },
    );
  });
});
