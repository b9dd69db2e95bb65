import { StatsController } from './stats.controller.js';

export { Stats } from './stats.js';

export const stats = { controllers: [StatsController] };
