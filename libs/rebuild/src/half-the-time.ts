import { setTimeout as sleep } from 'node:timers/promises';
import type { ProjectionStore } from '@posthaste/event-log';

/** A long batch is not paid back in full: reading is ahead, and waits in memory. */
const MOST_REST_MS = 1_000;

/** A store that rests after each transaction for as long as it took: a rebuild leaves half of the database to the rest. */
export function halfTheTime(store: ProjectionStore): ProjectionStore {
  return {
    loadPositions: (partitions) => store.loadPositions(partitions),
    apply: async (batches) => {
      const from = performance.now();
      const outcome = await store.apply(batches);
      await sleep(Math.min(performance.now() - from, MOST_REST_MS));
      return outcome;
    },
  };
}
