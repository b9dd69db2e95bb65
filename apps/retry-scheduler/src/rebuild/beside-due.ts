import { Beside } from '@posthaste/rebuild';
import { dueIndexMigrations } from '../due-index/index.js';

/** The due index is rebuilt in a schema beside its own. */
export const besideDue = new Beside('schedule', dueIndexMigrations);
