import { topics } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import type { Logger } from '@posthaste/runtime';
import type { DataSource } from 'typeorm';
import { stillGood } from '../feeds/index.js';
import type { Place } from './place.js';
import { TailFollower, type TailSink, type Wanted } from './tail-follower.js';
import { TailReader } from './tail-reader.js';

/** How far back one can go on, ms. */
const KEPT_MS = 2 * 3_600_000;
/** Whoever comes as the first one and is no further behind is simply read on for. */
const NEAR_RECORDS = 5_000;
/** Streams that break come again in a moment. */
const LINGER_MS = 10_000;
const PLACE_EVERY_MS = 15_000;
const STANDING_EVERY_MS = 30_000;

/** Where a stream begins; `expired`: something after that place cannot be sent any more. */
export type Opening = { kind: 'open'; place: Place; ends: number[] } | { kind: 'expired' };

export interface TailLimits {
  lingerMs?: number;
  placeEveryMs?: number;
  standingEveryMs?: number;
  /** Of each reader. */
  keptBytes?: number;
  stalledMs?: number;
}

/**
 * Attempts as they are made, to whoever follows them.
 *
 * They are read from the log itself: by one reader for all who are at its end, and by another one, for as long as it
 * takes, for those who come from further back than the first one remembers. While nobody follows, nothing is read.
 *
 * A follower is given every attempt it wants after its place, those of one account in the order they were made, and may
 * leave and come again: through another replica too, and after a restart, for two hours. An attempt that was made again
 * because its report was lost is an attempt of its own; one whose report is written twice may come twice.
 */
export class Tail {
  private live: TailReader | undefined;
  private past: TailReader | undefined;
  private lingering: NodeJS.Timeout | undefined;
  private readonly stopping = new Set<Promise<void>>();
  private readonly timers: NodeJS.Timeout[];
  private isStopped = false;

  constructor(
    private readonly log: EventLog,
    private readonly database: DataSource,
    private readonly logger: Logger,
    private readonly limits: TailLimits = {},
  ) {
    const { placeEveryMs = PLACE_EVERY_MS, standingEveryMs = STANDING_EVERY_MS } = limits;
    this.timers = [
      setInterval(() => this.tellPlaces(), placeEveryMs).unref(),
      setInterval(() => void this.checkStanding(), standingEveryMs).unref(),
    ];
  }

  /** Throws while the log is away. @param after null: from now on */
  async opening(after: Place | null): Promise<Opening> {
    const [starts, ends] = await Promise.all([
      this.log.admin.startOffsets(topics.deliveries),
      this.log.admin.endOffsets(topics.deliveries),
    ]);
    const endsOf: number[] = [];
    for (const { partition, offset } of ends) endsOf[partition] = offset;
    if (after === null) return { kind: 'open', place: { atMs: Date.now(), next: [...endsOf] }, ends: endsOf };
    const next = endsOf.map((_, partition) => after.next[partition] ?? 0);
    const isMissing = starts.some(({ partition, offset }) => (next[partition] ?? 0) < offset);
    // A place in another log, or in what this one lost.
    const isBeyond = next.some((offset, partition) => offset > (endsOf[partition] ?? 0));
    const isOld = after.atMs < Date.now() - KEPT_MS && behindOf(next, endsOf) > 0;
    if (isMissing || isBeyond || isOld || after.next.length > endsOf.length) return { kind: 'expired' };
    return { kind: 'open', place: { atMs: after.atMs, next }, ends: endsOf };
  }

  /** Sends what is wanted after the place until it is closed or ended. */
  follow(
    { place, ends }: { place: Place; ends: number[] },
    wanted: Wanted,
    sink: TailSink,
    key: string,
  ): { close(): void } {
    const follower = new TailFollower(wanted, place, sink, key);
    if (this.isStopped) follower.end('interrupted');
    else this.add(follower, ends);
    return { close: () => this.close(follower) };
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    for (const timer of this.timers) clearInterval(timer);
    clearTimeout(this.lingering);
    if (this.live) this.retire(this.live);
    if (this.past) this.retire(this.past);
    await Promise.all(this.stopping);
  }

  private add(follower: TailFollower, ends: number[]): void {
    clearTimeout(this.lingering);
    follower.tellPlace(() => this.readerOf(follower)?.serve(follower));
    const { next } = follower.place;
    const isNear = behindOf(next, ends) <= NEAR_RECORDS;
    this.live ??= this.read('live', isNear ? next : ends);
    if (this.live.covers(follower)) this.live.add(follower);
    else (this.past ??= this.read('past', next)).add(follower);
  }

  private read(kind: 'live' | 'past', from: number[]): TailReader {
    return new TailReader({
      kind,
      log: this.log,
      from,
      limits: this.limits,
      onRead: () => {
        if (kind === 'past') this.bringUp();
      },
      onLost: (reader, error) => {
        this.logger.warn({ err: error, kind }, 'tail.reader_lost');
        for (const follower of reader.followers) follower.end('interrupted');
        this.retire(reader);
      },
    });
  }

  /** Those who have come to what the live reader remembers go on with it. */
  private bringUp(): void {
    const { past, live } = this;
    if (!past || !live) return;
    for (const follower of past.followers) {
      if (!follower.ready || !past.isCaughtUp(follower) || !live.covers(follower)) continue;
      past.remove(follower);
      live.add(follower);
    }
    if (past.followers.size === 0) this.retire(past);
  }

  private close(follower: TailFollower): void {
    follower.isClosed = true;
    this.live?.remove(follower);
    this.past?.remove(follower);
    if (this.past?.followers.size === 0) this.retire(this.past);
    if (this.isStopped || this.past || !this.live || this.live.followers.size > 0) return;
    clearTimeout(this.lingering);
    this.lingering = setTimeout(() => {
      if (this.live?.followers.size === 0 && !this.past) this.retire(this.live);
    }, this.limits.lingerMs ?? LINGER_MS).unref();
  }

  private retire(reader: TailReader): void {
    if (this.live === reader) this.live = undefined;
    if (this.past === reader) this.past = undefined;
    const stopped = reader
      .stop()
      .catch((error: unknown) => this.logger.warn({ err: error }, 'tail.reader_not_stopped'))
      .finally(() => this.stopping.delete(stopped));
    this.stopping.add(stopped);
  }

  private readerOf(follower: TailFollower): TailReader | undefined {
    return [this.live, this.past].find((reader) => reader?.followers.has(follower));
  }

  private tellPlaces(): void {
    for (const reader of [this.live, this.past]) {
      for (const follower of reader?.followers ?? []) {
        if (reader === this.live && reader?.isCaughtUp(follower)) follower.place.atMs = Date.now();
        follower.tellPlace(() => this.readerOf(follower)?.serve(follower));
      }
    }
  }

  private async checkStanding(): Promise<void> {
    const followers = [this.live, this.past].flatMap((reader) => [...(reader?.followers ?? [])]);
    if (followers.length === 0) return;
    try {
      const good = await stillGood(this.database, [], [...new Set(followers.map(({ key }) => key))]);
      for (const follower of followers) if (!good.has(follower.key)) follower.end('gone');
    } catch (error) {
      // While the database is away nothing can have been revoked either.
      this.logger.warn({ err: error }, 'tail.standing_not_checked');
    }
  }
}

function behindOf(next: number[], ends: number[]): number {
  return ends.reduce((sum, end, partition) => sum + Math.max(0, end - (next[partition] ?? 0)), 0);
}
