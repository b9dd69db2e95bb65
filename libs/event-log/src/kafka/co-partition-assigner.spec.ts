import { describe, expect, it } from '@jest/globals';
import { assignCoPartitioned } from './co-partition-assigner.js';

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('the co-partitioning assigner', () => {
  for (const members of [1, 5, 7, 24, 50]) {
    it(`gives equal partitions of two topics to the same of ${members} members, each to exactly one`, () => {
      const ids = range(members).map((i) => `member-${i}`);
      const plan = assignCoPartitioned(ids, [
        { topic: 'messages', partitions: range(48).reverse() },
        { topic: 'due', partitions: range(48) },
      ]);
      const owners = (topic: string, partition: number): string[] =>
        [...plan].filter(([, topics]) => topics[topic]?.includes(partition)).map(([member]) => member);
      for (const partition of range(48)) {
        expect(owners('messages', partition)).toHaveLength(1);
        expect(owners('due', partition)).toEqual(owners('messages', partition));
      }
      const loads = [...plan.values()].map((topics) => topics['messages']?.length ?? 0);
      expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
    });
  }

  it('does not depend on the order in which members are named', () => {
    const topics = [{ topic: 'messages', partitions: range(6) }];
    const [one, other] = [
      ['a', 'b', 'c'],
      ['c', 'a', 'b'],
    ].map((ids) => assignCoPartitioned(ids, topics));
    expect(Object.fromEntries(one ?? [])).toEqual(Object.fromEntries(other ?? []));
  });

  it('names members without partitions, and leaves out topics they have nothing of', () => {
    const plan = assignCoPartitioned(
      ['a', 'b', 'c'],
      [
        { topic: 'config', partitions: [0] },
        { topic: 'due', partitions: [0, 1] },
      ],
    );
    expect(Object.fromEntries(plan)).toEqual({ a: { config: [0], due: [0] }, b: { due: [1] }, c: {} });
  });
});
