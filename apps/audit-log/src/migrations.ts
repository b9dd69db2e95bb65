import { FeedTimes1797000000000 } from './feeds/feed-times-migration.js';
import { Feeds1791000000003 } from './feeds/feeds-migration.js';
import { AttemptTls1791000000000 } from './history/attempt-tls-migration.js';
import { History1790000000000 } from './history/history-migration.js';
import { HistoryLists1793000000000 } from './history/lists-migration.js';
import { PayloadKeys1798000000000 } from './history/payload-keys-migration.js';
import { RequestedAttempts1791000000010 } from './history/requested-migration.js';
import { HistoryShadows1791000000002 } from './history/shadow-migration.js';
import { Shredding1796000000001 } from './history/shredding-migration.js';
import { HistoryVacuum1799000000000 } from './history/vacuum-migration.js';
import { Positions1791000000505 } from './reconcile/positions-migration.js';
import { ReplayKinds1794000000000 } from './replays/replay-kinds-migration.js';
import { Replays1791000000011 } from './replays/replays-migration.js';

/** Of the schema `history`, which several features share. */
export const historyMigrations = [
  History1790000000000,
  AttemptTls1791000000000,
  HistoryShadows1791000000002,
  Feeds1791000000003,
  RequestedAttempts1791000000010,
  Positions1791000000505,
  HistoryLists1793000000000,
  Shredding1796000000001,
  FeedTimes1797000000000,
  PayloadKeys1798000000000,
  HistoryVacuum1799000000000,
];

/** Of the schema `replays`. */
export const replaysMigrations = [Replays1791000000011, ReplayKinds1794000000000];
