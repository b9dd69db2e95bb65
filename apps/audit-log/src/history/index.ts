import { HistoryController } from './history.grpc.js';

export { AsOfNow } from './as-of-now.js';
export { BusyMachine } from './busy-machine.js';
export { HISTORY_GATHER_MS, HISTORY_GROUP, historyProjection, historyTopics } from './history.projection.js';
export type { Quarantined } from './sql/insert-quarantined.js';
export { createReadsPool } from './reads-pool.js';
export { HISTORY_READS } from './history.grpc.js';

export const historyFeature = { controllers: [HistoryController] };
