import { Alarm } from './alarm.js';
import { BATCH_ROWS } from './hand-over.js';
import type { HandOverPace } from './hand-over-pace.js';
import { recallReleased } from '../ordering/recall-released.js';
import { releaseDue, type ReleaseOutcome, releaseParked, type ReleaseParts } from './release-batch.js';
import { listParkedLanes } from './sql/list-parked-lanes.js';
import { msUntilNextDue } from './sql/next-due.js';

/**
 * The timer: releases what is due and what is parked, by turns, in every replica at once and without a leader.
 *
 * States: closed (the index still catches up with the log) -> releasing -> asleep until the next due time, until a
 * parked lane may have room, or until the pace has -> ...; after a failure it backs off. It sleeps at most a second: another replica may have
 * brought an earlier attempt, or have died holding one. A batch of the projection that brings an earlier attempt, or an
 * answer that makes room in a parked lane, wakes it.
 */
export interface ReleaseLoopOptions extends ReleaseParts {
  pace: HandOverPace;
  /** Releasing begins when this resolves: an index behind the log holds attempts that were made long ago. */
  opened: Promise<void>;
  onReleased: (outcome: ReleaseOutcome) => void;
  /** Rolled back; tried again after `backoffMs`. */
  onFailure: (error: unknown, backoffMs: number) => void;
}

const SAFETY_POLL_MS = 1_000;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5_000;
/** The probes of a thousand lanes that are down go out in a few turns a second, not in one turn each. */
const ROOM_GATHER_MS = 100;
/**
 * Looking for lanes that other replicas parked: as often as it is a small part of a core's work, a step in the index
 * taking some 10 us.
 */
const LOOK_MS = { least: SAFETY_POLL_MS, most: 30_000, forEachLane: 10 };

export class ReleaseLoop {
  private readonly alarm = new Alarm();
  private stopped = false;
  private running: Promise<void> | null = null;
  private turnBeganAtMs = 0;
  /** When to look for parked lanes again, on the monotonic clock. */
  private lookAtMs = 0;

  constructor(private readonly options: ReleaseLoopOptions) {}

  start(): void {
    this.running = this.options.opened.then(() => this.run());
  }

  /** An attempt falls due at this wall-clock time; were our clock ahead of the database's, one look is wasted. */
  noticeDue(dueAtMs: number): void {
    this.alarm.bringForward(performance.now() + Math.max(0, dueAtMs - Date.now()));
  }

  /** A parked lane may be handed something. */
  noticeRoom(): void {
    this.alarm.bringForward(this.turnBeganAtMs + ROOM_GATHER_MS);
  }

  /** Finishes the batch in hand. `opened` must have resolved, or resolve. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.alarm.bringForward(0);
    await this.running;
  }

  private async run(): Promise<void> {
    let backoffMs = BACKOFF_MIN_MS;
    while (!this.stopped) {
      let sleepMs: number;
      try {
        sleepMs = await this.releaseAll();
        backoffMs = BACKOFF_MIN_MS;
      } catch (error) {
        this.options.onFailure(error, backoffMs);
        // Not the alarm: a new attempt would end the pause that the failure asks for.
        await new Promise((resolve) => setTimeout(resolve, backoffMs));
        backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
        continue;
      }
      if (!this.stopped) await this.alarm.sleep(sleepMs);
    }
  }

  /** Answers how long there will be nothing to release. */
  private async releaseAll(): Promise<number> {
    this.turnBeganAtMs = performance.now();
    const { pace, lot, onReleased } = this.options;
    let more = true;
    while (more && !this.stopped) {
      await this.lookForParkedLanes();
      const room = pace.room(BATCH_ROWS);
      if (room === 0) return pace.msUntilRoom();
      // What is parked has its half: it was due before.
      const timed = await releaseDue(this.options, lot.lanes > 0 ? Math.ceil(room / 2) : room);
      pace.spend(timed.released);
      onReleased(timed);
      const parked = await releaseParked(this.options, Math.max(1, room - timed.released));
      pace.spend(parked.released);
      onReleased(parked);
      more = timed.more || parked.more;
    }
    const nextMs = await msUntilNextDue(this.options.pool);
    const gatheredMs = this.turnBeganAtMs + ROOM_GATHER_MS - performance.now();
    const roomMs = Math.max(lot.msUntilRoom(), gatheredMs);
    return Math.min(nextMs ?? SAFETY_POLL_MS, roomMs, SAFETY_POLL_MS);
  }

  /** A process learns here what was parked before it began, and what others park; and what was lost on its way. */
  private async lookForParkedLanes(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs < this.lookAtMs) return;
    const lanes = await listParkedLanes(this.options.pool);
    this.options.lot.park(lanes);
    this.options.lot.prune();
    await recallReleased(this.options.pool);
    this.lookAtMs =
      nowMs + Math.min(Math.max(lanes.length * LOOK_MS.forEachLane, LOOK_MS.least), LOOK_MS.most);
  }
}
