import type { FeedItem } from './feed-page.js';

/** `expired`: the items it would have to go on with are not kept any more. `gone`: its endpoint or its key is. */
export type EndReason = 'expired' | 'gone';

/** Whom a feed's items go to. */
export interface FeedSink {
  /**
   * Takes one item. Whoever cannot take the next one yet answers a promise of when; until then nothing is read for it
   * nor kept for it. Every follower of a feed is given the same object, so what is made of it can be kept with it.
   */
  item(item: FeedItem): void | Promise<void>;
  /** Nothing more will come. Not called after `close`. */
  end(reason: EndReason): void;
}

export interface Following {
  close(): void;
}

/** One who follows a feed, and how far it has got. */
export class Follower {
  /** False from the time it has more than it can take until it has taken it. */
  ready = true;
  private closed = false;
  readonly joinedAtMs = Date.now();

  constructor(
    /** The last sequence it was given; null until it is known where `from now on` begins. */
    public position: number | null,
    private readonly sink: FeedSink,
    /** The key it reads with; null: it has none that could be revoked. */
    readonly key: string | null,
  ) {}

  /** @param onReady called when it can take more, if it cannot right now. */
  give(item: FeedItem, onReady: () => void): void {
    this.position = item.sequence;
    const taken = this.sink.item(item);
    if (taken === undefined) return;
    this.ready = false;
    void taken.then(() => {
      this.ready = true;
      onReady();
    });
  }

  end(reason: EndReason): void {
    if (!this.closed) this.sink.end(reason);
    this.closed = true;
  }

  close(): void {
    this.closed = true;
  }
}
