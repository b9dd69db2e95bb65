export { historyRunsMigration, startHistoryRebuilds } from './rebuild-history.js';
