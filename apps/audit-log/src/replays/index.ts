import { ReplaysController } from './replays.grpc.js';

export { startReplayLoop } from './replay-loop.js';
export { Replays1791000000011 } from './replays-migration.js';

export const replaysFeature = { controllers: [ReplaysController] };
