import { ReplaysController } from './replays.controller.js';

export { Replays } from './replays.js';

export const replays = { controllers: [ReplaysController] };
