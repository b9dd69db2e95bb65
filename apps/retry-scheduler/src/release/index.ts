export { GoneEndpoints } from './gone-endpoints.js';
export { HandOverPace } from './hand-over-pace.js';
export { historyPayloads } from './history-payloads.js';
export { ReleaseLoop } from './release-loop.js';
export type { ReleaseOutcome } from './release-batch.js';
