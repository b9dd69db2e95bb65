import { UsageController } from './usage.controller.js';

export { Usage } from './usage.js';

export const usage = { controllers: [UsageController] };
