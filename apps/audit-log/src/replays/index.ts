import { ReplayKinds1794000000000 } from './replay-kinds-migration.js';
import { ReplaysController } from './replays.grpc.js';
import { Replays1791000000011 } from './replays-migration.js';

export { startReplayLoop } from './replay-loop.js';
export { historyHorizon } from './horizon.js';

/** Of the schema `replays`. */
export const replaysMigrations = [Replays1791000000011, ReplayKinds1794000000000];

export const replaysFeature = { controllers: [ReplaysController] };
