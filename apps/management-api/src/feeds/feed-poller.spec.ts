import { describe, expect, it } from '@jest/globals';
import { createLogger } from '@posthaste/runtime';
import { type SeededRandom, seededRandom, waitFor } from '@posthaste/test-kit';
import type { FeedItem, FeedPage } from './feed-page.js';
import { FeedPoller, type FeedReads } from './feed-poller.js';
import { Follower } from './follower.js';
import { RecentPages } from './recent-pages.js';

const { logger } = createLogger('feeds-spec', 'silent');
const MB = 1024 * 1024;

function itemOf(sequence: number, payloadBytes = 10): FeedItem {
  return {
    sequence,
    acceptedAt: new Date(),
    listedAt: new Date(),
    payload: Buffer.alloc(payloadBytes),
    meta: {
      v: 1,
      id: `msg_${sequence}`,
      tenant: 'ten_1',
      account: 'acc_1',
      type: 'a.b',
      contentType: 'application/json',
      at: 0,
      config: 1,
      routes: [],
    },
  };
}

/** Feeds in memory that fail now and then, and answer when they like. */
class MoodyFeeds implements FeedReads {
  readonly feeds = new Map<string, FeedItem[]>();

  constructor(private readonly random: SeededRandom) {}

  add(endpoint: string): void {
    const items = this.feeds.get(endpoint) ?? [];
    items.push(itemOf(items.length + 1));
    this.feeds.set(endpoint, items);
  }

  async heads(endpoints: string[]): Promise<Map<string, number>> {
    await this.mood();
    return new Map(endpoints.map((endpoint) => [endpoint, this.feeds.get(endpoint)?.length ?? 0]));
  }

  async page(
    { endpoint }: { endpoint: string },
    wanted: Parameters<FeedReads['page']>[1],
  ): Promise<FeedPage> {
    const items = this.feeds.get(endpoint) ?? [];
    const found =
      'after' in wanted
        ? items.slice(wanted.after, wanted.after + Math.min(7, wanted.limit))
        : items.filter(({ acceptedAt }) => acceptedAt > wanted.since).slice(0, 1);
    const page: FeedPage = { kind: 'items', items: found, oldest: 1, newest: items.length, hasMore: true };
    await this.mood();
    return page;
  }

  private async mood(): Promise<void> {
    for (let turns = this.random.below(4); turns > 0; turns--) await new Promise(setImmediate);
    if (this.random.below(5) === 0) throw new Error('away');
  }
}

describe('the poller of feeds', () => {
  it('gives everybody every item after their place, in order and once, whatever is slow or fails', async () => {
    const random = seededRandom();
    try {
      for (let round = 0; round < 20; round++) await followSome(random);
    } catch (error) {
      throw new Error(`seed ${random.seed}`, { cause: error });
    }
  });

  async function followSome(random: SeededRandom): Promise<void> {
    const source = new MoodyFeeds(random);
    const poller = new FeedPoller(source, logger, 1);
    const endpoints = ['ep_1', 'ep_2'];
    const watched: { endpoint: string; after: number; got: number[] }[] = [];
    const join = (): void => {
      const endpoint = endpoints[random.below(2)] ?? '';
      const size = source.feeds.get(endpoint)?.length ?? 0;
      const after = random.below(size + 1);
      const got: number[] = [];
      const isSlow = random.below(2) === 0;
      const item = ({ sequence }: FeedItem): void | Promise<void> => {
        got.push(sequence);
        return isSlow ? new Promise((resolve) => void setImmediate(resolve)) : undefined;
      };
      const leave = poller.add(
        { tenant: 'ten_1', endpoint },
        new Follower(after, { item, end: () => undefined }, null),
      );
      if (random.below(4) === 0) setImmediate(leave);
      else watched.push({ endpoint, after, got });
    };
    for (let step = 0; step < 60; step++) {
      if (random.below(4) === 0) join();
      else source.add(endpoints[random.below(2)] ?? '');
      if (random.below(3) === 0) await new Promise(setImmediate);
    }
    const expected = ({ endpoint, after }: { endpoint: string; after: number }): number[] =>
      (source.feeds.get(endpoint) ?? []).map(({ sequence }) => sequence).slice(after);
    await waitFor(() => watched.every((one) => one.got.length >= expected(one).length), {
      what: 'everything for everybody',
      everyMs: 5,
      deadlineMs: 3_000,
    });
    poller.stop();
    for (const one of watched) expect(one.got).toEqual(expected(one));
  }

  it('goes on behind an item that its sink cannot make anything of', async () => {
    const source = new MoodyFeeds(seededRandom());
    const poller = new FeedPoller(source, logger, 1);
    for (let n = 0; n < 3; n++) source.add('ep_1');
    const got: number[] = [];
    const item = ({ sequence }: FeedItem): void => {
      if (sequence === 2) throw new Error('a defect');
      got.push(sequence);
    };
    poller.add({ tenant: 'ten_1', endpoint: 'ep_1' }, new Follower(0, { item, end: () => undefined }, null));
    await waitFor(() => got.length === 2);
    poller.stop();
    expect(got).toEqual([1, 3]);
  });
});

describe('pages that are kept', () => {
  it('are found by what comes after, up to a size, and forgotten with their readers', () => {
    const pages = new RecentPages();
    const sequences = (after: number, endpoint = 'ep_1'): number[] | undefined =>
      pages.after(endpoint, after)?.map(({ sequence }) => sequence);
    pages.keep('ep_1', [itemOf(4), itemOf(5), itemOf(6)]);
    expect([2, 3, 5, 6].map((after) => sequences(after))).toEqual([undefined, [4, 5, 6], [6], undefined]);
    expect(sequences(3, 'ep_2')).toBeUndefined();

    pages.keep('ep_2', [itemOf(1, 15 * MB)]);
    pages.keep('ep_3', [itemOf(1, 15 * MB)]);
    expect([sequences(3), sequences(0, 'ep_2'), sequences(0, 'ep_3')]).toEqual([undefined, undefined, [1]]);
    pages.forget('ep_3');
    expect(sequences(0, 'ep_3')).toBeUndefined();
    pages.keep('ep_1', [itemOf(1, 15 * MB)]);
    expect(sequences(0)).toEqual([1]);
  });
});
