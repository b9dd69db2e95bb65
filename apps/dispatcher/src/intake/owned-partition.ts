import {
  type AssignedPartition,
  type Commit,
  type PartitionRef,
  PartitionWindow,
} from '@posthaste/event-log';

/**
 * A partition this process works on: what was taken from it and is not done, and what to commit.
 *
 * States: flowing <-> paused (the window is full enough) -> leaving -> lost. Leaving: it is going to another member;
 * nothing of it is started any more, and what was started may still end and count. Lost: work in flight still ends and
 * is recorded, but counts for nothing here; the next owner reads it again.
 */
export interface WindowLimits {
  records: number;
  bytes: number;
}

/** So many open records fit the metadata of a commit. */
const windowLimits: WindowLimits = { records: 2_000, bytes: 16_000_000 };
export const PAUSE_AT = 0.8;
export const RESUME_AT = 0.5;
/** Whoever published a minute ago may do so again. */
const SHARED_MS = 60_000;

/** What all partitions of the process hold together. */
export interface Held {
  bytes: number;
  routes: number;
}

const budget: Held = { bytes: 256_000_000, routes: 50_000 };

export function isAbove(share: number, { bytes, routes }: Held): boolean {
  return bytes > budget.bytes * share || routes > budget.routes * share;
}

export class OwnedPartition implements PartitionRef {
  readonly topic: string;
  readonly partition: number;
  isPaused = false;
  isLeaving = false;
  /** Where reading goes on. */
  readAt: number;
  /** Records done since the last commit. */
  uncommitted = 0;
  /** When the low watermark last moved, or nothing was held; by the caller's clock. */
  movedAt: number;
  readonly window: PartitionWindow;
  private readonly held: Held = { bytes: 0, routes: 0 };
  private isLost = false;
  /** Routes started and not done. */
  private underWay = 0;
  private onQuiet: (() => void) | undefined;
  private lastEndpoint: string | undefined;
  /** Work of the last minute was for more than one endpoint. */
  private isShared = false;
  private sharedUntil = 0;

  constructor(
    { topic, partition, committed, metadata }: AssignedPartition,
    private readonly total: Held,
    private readonly onDone: (partition: OwnedPartition) => void,
    now: number,
  ) {
    this.topic = topic;
    this.partition = partition;
    this.readAt = committed ?? 0;
    this.movedAt = now;
    this.window = PartitionWindow.resume(committed, metadata);
  }

  /** Null: it is done already, or held already. */
  take(offset: number, bytes: number, routes: number): TakenRecord | null {
    if (!this.window.add(offset, bytes)) return null;
    this.hold(bytes, routes);
    return new TakenRecord(this, offset, bytes, routes);
  }

  /** Work for this endpoint came along. */
  sees(endpoint: string, now: number): void {
    if (endpoint !== this.lastEndpoint && this.lastEndpoint !== undefined) this.sharedUntil = now + SHARED_MS;
    this.lastEndpoint = endpoint;
    this.isShared = now < this.sharedUntil;
  }

  routeStarted(): void {
    this.underWay++;
  }

  routeDone(): void {
    this.hold(0, -1);
    this.underWay--;
    if (this.underWay === 0) this.onQuiet?.();
  }

  recordDone(offset: number, bytes: number): void {
    if (this.isLost) return;
    const low = this.window.lowWatermark;
    this.window.done(offset);
    if (this.window.lowWatermark !== low) this.movedAt = Date.now();
    this.uncommitted++;
    this.hold(-bytes, 0);
    this.onDone(this);
  }

  /** Resolves when all that was started is done, or the time is up. */
  async leave(timeoutMs: number): Promise<void> {
    this.isLeaving = true;
    if (this.underWay === 0 || timeoutMs === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.onQuiet = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  lose(): void {
    this.isLeaving = true;
    this.isLost = true;
    this.total.bytes -= this.held.bytes;
    this.total.routes -= this.held.routes;
  }

  get isFull(): boolean {
    const { records, bytes } = windowLimits;
    return this.window.records >= records * PAUSE_AT || this.window.bytes >= bytes * PAUSE_AT;
  }

  get isHalfEmpty(): boolean {
    const { records, bytes } = windowLimits;
    return this.window.records <= records * RESUME_AT && this.window.bytes <= bytes * RESUME_AT;
  }

  /** What waits here may soon hold up work for another endpoint: reading stops when a little more is held. */
  get isCrowded(): boolean {
    return this.isShared && (!this.isHalfEmpty || isAbove(RESUME_AT, this.total));
  }

  commit(): Commit {
    const { topic, partition, window } = this;
    return { topic, partition, next: window.lowWatermark, metadata: window.metadata() };
  }

  private hold(bytes: number, routes: number): void {
    if (this.isLost) return;
    this.held.bytes += bytes;
    this.held.routes += routes;
    this.total.bytes += bytes;
    this.total.routes += routes;
  }
}

/** A record in work; done when its last route is. */
export class TakenRecord {
  constructor(
    private readonly partition: OwnedPartition,
    readonly offset: number,
    private readonly bytes: number,
    private routesLeft: number,
  ) {
    if (routesLeft === 0) partition.recordDone(offset, bytes);
  }

  /** What of it is not started is not ours to start. */
  get isLost(): boolean {
    return this.partition.isLeaving;
  }

  get partitionNumber(): number {
    return this.partition.partition;
  }

  get isInTheWay(): boolean {
    return this.partition.isCrowded;
  }

  routeStarted(): void {
    this.partition.routeStarted();
  }

  routeDone(): void {
    this.partition.routeDone();
    this.routesLeft--;
    if (this.routesLeft === 0) this.partition.recordDone(this.offset, this.bytes);
  }
}
