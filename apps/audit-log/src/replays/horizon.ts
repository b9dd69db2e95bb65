import { topics } from '@posthaste/contracts';
import { endsOf, type EventLog, type ProjectionPositions } from '@posthaste/event-log';

/**
 * Up to which time of acceptance history knows every message, so that a backfill leaves out none that was still on its
 * way when its endpoint was made, and asks for none that is routed there already and not yet projected.
 *
 * A message is given its time before it is appended; who waits longer than ten seconds for that gives up. The rest is
 * for clocks of replicas that differ. So what the log holds now is all there will be from before.
 */
const LATE_MS = 15_000;

/** Each call answers what is known, and has history asked again. It only ever moves on. */
export function historyHorizon(
  log: EventLog,
  positions: Pick<ProjectionPositions, 'whenReached'>,
  signal: AbortSignal,
): () => Promise<number> {
  let known = 0;
  let isAsking = false;
  return async () => {
    if (!isAsking) {
      const at = Date.now();
      const ends = await endsOf(log, [topics.messages]);
      isAsking = true;
      void positions.whenReached(ends, signal).then(() => {
        if (!signal.aborted) known = Math.max(known, at - LATE_MS);
        isAsking = false;
      });
    }
    return known;
  };
}
