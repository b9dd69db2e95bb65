import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import type { OwedAttempt } from '../due-index/owed-attempt.js';
import type { ParkingLot } from '../parking/parking-lot.js';
import { BATCH_ROWS, type HandedOver, handOver, type HandOverParts } from './hand-over.js';
import { claimDue } from './sql/claim-due.js';
import { claimParked } from './sql/claim-parked.js';
import { parkDue, parkDueOf } from './sql/park-due.js';
import { postponeDue } from './sql/postpone-due.js';

/**
 * One batch of either kind, in one transaction: claim -> ask history -> append to `due` -> delete -> commit.
 *
 * Timed: attempts whose time has come. One whose lane has no room, or has others parked already, is parked in the same
 * transaction: from then on it waits for its lane and is in nobody's way.
 * Parked: the oldest of every lane that has room.
 *
 * What the lot counts as released it counts before the append, for the answer may be there before the commit. A batch
 * that fails is uncounted; should its commit have failed after the append, its answers are those of strangers.
 */
export interface ReleaseParts extends HandOverParts {
  pool: pg.Pool;
  lot: ParkingLot;
}

export interface ReleaseOutcome {
  kind: 'timed' | 'parked';
  released: number;
  dropped: number;
  /** Not in history, or out of turn. */
  postponed: number;
  /** Due, and parked for want of room. */
  parked: number;
  /** Of the postponed ones those that history should have had, in a form we can read, for long. */
  missing: string[];
  /** True when there may be more of the kind now. */
  more: boolean;
}

/** How long history is given to learn of a delivery that it does not know yet, and one that comes before to go. */
const PAUSE_MS = 1_000;
/** A storm of one endpoint is parked by so many a turn; by batches it would hold up the others for as long as it lasts. */
const STORM_ROWS = 5_000;

/** @param most how many at most, {@link BATCH_ROWS} or fewer; so in `releaseParked`. */
export async function releaseDue(parts: ReleaseParts, most = BATCH_ROWS): Promise<ReleaseOutcome> {
  const { pool, lot } = parts;
  let admitted: OwedAttempt[] = [];
  let crowded = new Set<string>();
  const release = async (client: pg.PoolClient): Promise<ReleaseOutcome> => {
    const claimed = await claimDue(client, most);
    const more = claimed.length === most;
    admitted = claimed.filter((row) => lot.admit(row.endpoint, row.delivery));
    const refused = claimed.filter((row) => !admitted.includes(row));
    crowded = new Set(refused.map((row) => row.endpoint));
    let parked = refused.length;
    if (parked > 0) {
      await parkDue(
        client,
        refused.map((row) => row.delivery),
      );
      if (more) parked += await parkDueOf(client, [...crowded], STORM_ROWS);
    }
    const handed = await handedOver(client, admitted, parts);
    const later = [...handed.early, ...handed.outOfTurn];
    if (later.length > 0) await postponeDue(client, later, PAUSE_MS);
    return outcomeOf('timed', handed, { parked, more });
  };
  const outcome = await inTransaction(pool, release).catch((error: unknown) => {
    lot.forget(admitted);
    throw error;
  });
  // Not before the commit: a claim that came between would find nothing and take the lane for empty.
  lot.park(crowded);
  return outcome;
}

export async function releaseParked(parts: ReleaseParts, most = BATCH_ROWS): Promise<ReleaseOutcome> {
  const { pool, lot } = parts;
  const claims = lot.takeTurn(most);
  if (claims.length === 0) return outcomeOf('parked', NOTHING, { parked: 0, more: false });
  let claimed: OwedAttempt[] = [];
  const release = async (client: pg.PoolClient): Promise<HandedOver> => {
    claimed = await claimParked(client, claims);
    lot.claimed(claims, claimed);
    return handedOver(client, claimed, parts);
  };
  const handed = await inTransaction(pool, release).catch((error: unknown) => {
    lot.forget(claimed);
    lot.park(claims.map((claim) => claim.endpoint));
    throw error;
  });
  const later = new Set([...handed.early, ...handed.outOfTurn]);
  const left = claimed.filter((row) => later.has(row.delivery));
  // What comes before one that is out of turn is parked soon, if it is not, and is older: it goes first then.
  lot.pause(left, PAUSE_MS);
  lot.park(left.map((row) => row.endpoint));
  return outcomeOf('parked', handed, { parked: 0, more: lot.msUntilRoom() === 0 });
}

const NOTHING: HandedOver = { released: [], dropped: [], early: [], outOfTurn: [], missing: [] };

/**
 * Hands them over, and lets the lot know which of them never went. What history does not know yet it does not know of
 * the lane's later deliveries either: the lane pauses, or all it has would be asked for over and over.
 */
async function handedOver(
  client: pg.PoolClient,
  rows: OwedAttempt[],
  parts: ReleaseParts,
): Promise<HandedOver> {
  if (rows.length === 0) return NOTHING;
  const handed = await handOver(client, rows, parts);
  const early = new Set(handed.early);
  const kept = new Set([...handed.dropped, ...handed.missing, ...handed.outOfTurn]);
  const of = (set: Set<string>): OwedAttempt[] => rows.filter((row) => set.has(row.delivery));
  if (kept.size > 0) parts.lot.forget(of(kept));
  if (early.size > 0) parts.lot.pause(of(early), PAUSE_MS);
  return handed;
}

function outcomeOf(
  kind: ReleaseOutcome['kind'],
  { released, dropped, early, outOfTurn, missing }: HandedOver,
  { parked, more }: Pick<ReleaseOutcome, 'parked' | 'more'>,
): ReleaseOutcome {
  return {
    kind,
    released: released.length,
    dropped: dropped.length,
    postponed: early.length + outOfTurn.length + missing.length,
    parked,
    missing,
    more,
  };
}
