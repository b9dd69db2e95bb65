export { Beside } from './beside.js';
export { type Filling, startFilling } from './filling.js';
export { halfTheTime } from './half-the-time.js';
export {
  type RebuildProgress,
  type RunningRebuilds,
  type RebuildLoopOptions,
  startRebuildLoop,
} from './rebuild-loop.js';
export { rebuildRoute } from './rebuild-route.js';
export { type RebuildStep, RebuildFailed, swapWhenCaughtUp, type SwapOutcome } from './rebuild.js';
export { type RebuildRun, Runs, runsMigration, type TableComparison } from './runs.js';
