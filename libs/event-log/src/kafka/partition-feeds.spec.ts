import { describe, expect, it } from '@jest/globals';
import type { Batch, KafkaMessage } from 'kafkajs';
import { PartitionFeeds } from './partition-feeds.js';

const ref = { topic: 't', partition: 0 };

/** Messages of these offsets; `end` is the batch's last offset, which marks of transactions may take. */
function batchOf(offsets: number[], end = offsets.at(-1) ?? 0): Batch {
  const messages = offsets.map(
    (offset) =>
      ({ offset: String(offset), key: null, value: Buffer.from(''), timestamp: '0' }) as KafkaMessage,
  );
  return { ...ref, messages, lastOffset: () => String(end) } as Batch;
}

function feedsUnderTest(onOffsets: (offsets: number[]) => void = () => undefined, maxBatchRecords = 2) {
  const calls: string[] = [];
  const taken: number[] = [];
  const nexts: number[] = [];
  const resolved: string[] = [];
  const refused: Error[] = [];
  const named = (what: string) => (topics: { topic: string; partitions?: number[] }[]) => {
    calls.push(`${what} ${topics.map(({ partitions }) => partitions?.join()).join()}`.trim());
  };
  const feeds = new PartitionFeeds({
    consumer: {
      pause: named('pause'),
      resume: (topics) => named('resume')(topics),
      seek: ({ offset }) => calls.push(`seek ${offset}`),
    },
    maxBatchRecords,
    onRecords: ({ records, next }) => {
      const offsets = records.map((record) => record.offset);
      taken.push(...offsets);
      nexts.push(next);
      onOffsets(offsets);
    },
    onRefused: (error) => refused.push(error),
  });
  const fetched = (batch: Batch, isStale = false): void =>
    feeds.take({ batch, resolveOffset: (offset) => resolved.push(offset), isStale: () => isStale });
  return { feeds, fetched, calls, taken, nexts, resolved, refused };
}

describe('the partitions of a member', () => {
  it('hand on nothing before they are open, nor after they are closed, and leave it to be fetched again', () => {
    const { feeds, fetched, calls, taken, resolved } = feedsUnderTest();
    feeds.own([ref]);
    fetched(batchOf([0, 1]));
    feeds.open([{ ...ref, offset: 1 }]);
    fetched(batchOf([1]), true);
    feeds.close();
    fetched(batchOf([1]));
    expect([calls, taken, resolved]).toEqual([['pause 0', 'seek 1', 'resume 0'], [], []]);
  });

  it('skip what was handed on already, and go on above the marks of a transaction', () => {
    const { feeds, fetched, taken, nexts, resolved } = feedsUnderTest();
    feeds.own([ref]);
    feeds.open([]);
    fetched(batchOf([0, 1, 2], 4));
    fetched(batchOf([2, 5]));
    fetched(batchOf([2]));
    expect(taken).toEqual([0, 1, 2, 5]);
    expect(nexts).toEqual([2, 5, 6]);
    expect(resolved).toEqual(['1', '2', '5', '2']);
    expect(feeds.activePositions()).toEqual([{ ...ref, offset: 6 }]);
  });

  it('stop inside a batch when its handler pauses, and stay paused over a join until told otherwise', () => {
    const under = feedsUnderTest((offsets) => {
      if (offsets.includes(1)) under.feeds.pause([ref]);
    });
    const { feeds, fetched, calls, taken } = under;
    feeds.own([ref]);
    feeds.open([]);
    fetched(batchOf([0, 1, 2, 3]));
    expect([taken, feeds.activePositions()]).toEqual([[0, 1], []]);
    feeds.own([ref]);
    feeds.open([{ ...ref, offset: 2 }]);
    feeds.resume([ref]);
    expect(calls).toEqual(['pause 0', 'resume 0', 'pause 0', 'pause 0', 'seek 2', 'resume', 'resume 0']);
  });

  it('stop inside a batch when its handler seeks', () => {
    const under = feedsUnderTest((offsets) => {
      if (offsets.includes(1)) under.feeds.seek([{ ...ref, offset: 7 }]);
    });
    under.feeds.own([ref]);
    under.feeds.open([]);
    under.fetched(batchOf([0, 1, 2, 3]));
    under.fetched(batchOf([4, 7]));
    expect(under.taken).toEqual([0, 1, 7]);
  });

  it('end when a handler refuses its records', () => {
    const under = feedsUnderTest(() => {
      throw new Error('no room');
    });
    under.feeds.own([ref]);
    under.feeds.open([]);
    under.fetched(batchOf([0, 1, 2, 3]));
    expect([under.taken, under.refused.map(({ message }) => message)]).toEqual([[0, 1], ['no room']]);
  });
});
