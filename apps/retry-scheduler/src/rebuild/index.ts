export { dueRebuildMigrations, REBUILD_SCHEMA, startDueRebuilds } from './rebuild-due.js';
