import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import type { OwedAttempt } from '../due-index/owed-attempt.js';
import type { ParkingLot } from '../parking/parking-lot.js';
import { BATCH_ROWS, type HandedOver, handOver, type HandOverParts } from './hand-over.js';
import { claimDue } from './sql/claim-due.js';
import { claimParked } from './sql/claim-parked.js';
import { parkDue, parkDueOf } from './sql/park-due.js';

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
  postponed: number;
  /** Due, and parked for want of room. */
  parked: number;
  missing: string[];
  /** True when there may be more of the kind now. */
  more: boolean;
}

/** A storm of one endpoint is parked by so many a turn; by batches it would hold up the others for as long as it lasts. */
const STORM_ROWS = 5_000;

export async function releaseDue(parts: ReleaseParts): Promise<ReleaseOutcome> {
  const { pool, lot } = parts;
  let admitted: OwedAttempt[] = [];
  let crowded = new Set<string>();
  const release = async (client: pg.PoolClient): Promise<ReleaseOutcome> => {
    const claimed = await claimDue(client, BATCH_ROWS);
    const more = claimed.length === BATCH_ROWS;
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
    return outcomeOf('timed', await handedOver(client, admitted, parts), { parked, more });
  };
  const outcome = await inTransaction(pool, release).catch((error: unknown) => {
    lot.forget(admitted);
    throw error;
  });
  // Not before the commit: a claim that came between would find nothing and take the lane for empty.
  lot.park(crowded);
  return outcome;
}

export async function releaseParked(parts: ReleaseParts): Promise<ReleaseOutcome> {
  const { pool, lot } = parts;
  const claims = lot.takeTurn(BATCH_ROWS);
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
  return outcomeOf('parked', handed, { parked: 0, more: lot.msUntilRoom() === 0 });
}

const NOTHING: HandedOver = { released: [], dropped: [], postponed: [], missing: [] };

/** Hands them over, and lets the lot know which of them never went. */
async function handedOver(
  client: pg.PoolClient,
  rows: OwedAttempt[],
  parts: ReleaseParts,
): Promise<HandedOver> {
  if (rows.length === 0) return NOTHING;
  const handed = await handOver(client, rows, parts);
  const unsent = new Set([...handed.dropped, ...handed.postponed]);
  if (unsent.size > 0) parts.lot.forget(rows.filter((row) => unsent.has(row.delivery)));
  return handed;
}

function outcomeOf(
  kind: ReleaseOutcome['kind'],
  { released, dropped, postponed, missing }: HandedOver,
  { parked, more }: Pick<ReleaseOutcome, 'parked' | 'more'>,
): ReleaseOutcome {
  return {
    kind,
    released: released.length,
    dropped: dropped.length,
    postponed: postponed.length,
    parked,
    missing,
    more,
  };
}
