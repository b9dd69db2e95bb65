import { DueIndex1790000000000 } from './due-index-migration.js';
import { Ordering1791000000002 } from './ordering-migration.js';
import { ParkingLot1791000000001 } from './parking-lot-migration.js';

export {
  DUE_GATHER_MS,
  dueIndexProjection,
  SCHEDULER_GROUP,
  scheduledTopics,
} from './due-index.projection.js';

export { scheduleSettings } from './schedule-settings.js';

/** The schema `schedule`, in the order it grew. */
export const dueIndexMigrations = [DueIndex1790000000000, ParkingLot1791000000001, Ordering1791000000002];
