export { DueIndex1790000000000 } from './due-index-migration.js';
export {
  DUE_GATHER_MS,
  dueIndexProjection,
  SCHEDULER_GROUP,
  scheduledTopics,
  type DueIndexHooks,
} from './due-index.projection.js';
