export { nextHistoryPool } from './next-history.js';
export { Rebuild1796000000000 } from './rebuild-migration.js';
export { type RebuildProgress, type RunningRebuilds, startRebuildLoop } from './rebuild-loop.js';
export { rebuildRoute } from './rebuild-route.js';
