import { Beside } from '@posthaste/rebuild';
import { historyMigrations } from '../migrations.js';

/** History is rebuilt in a schema beside its own. */
export const besideHistory = new Beside('history', historyMigrations);
export const NEXT = besideHistory.next;
