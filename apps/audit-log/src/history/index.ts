import { HistoryController } from './history.grpc.js';

export { HISTORY_GATHER_MS, HISTORY_GROUP, historyProjection, historyTopics } from './history.projection.js';
export { HISTORY_READS } from './history.grpc.js';
export { AttemptTls1791000000000 } from './attempt-tls-migration.js';
export { History1790000000000 } from './history-migration.js';
export { HistoryShadows1791000000002 } from './shadow-migration.js';
export { RequestedAttempts1791000000010 } from './requested-migration.js';
export { startRetention } from './retention.js';

export const historyFeature = { controllers: [HistoryController] };
