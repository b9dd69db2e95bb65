import { ReplaysController } from './replays.grpc.js';

export { startReplayLoop } from './replay-loop.js';
export { historyHorizon } from './horizon.js';

export const replaysFeature = { controllers: [ReplaysController] };
