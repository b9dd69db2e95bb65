export { Beside } from './beside.js';
export { RebuildFailed } from './errors.js';
export { halfTheTime } from './half-the-time.js';
export { type RebuildProgress, type RunningRebuilds, startRebuildLoop } from './rebuild-loop.js';
export { rebuildRoute } from './rebuild-route.js';
export type { OwnSteps, RebuildStep, RebuildWork, SwapOutcome } from './rebuild.js';
export { type RebuildRun, Runs, runsMigration, type TableComparison } from './runs.js';
