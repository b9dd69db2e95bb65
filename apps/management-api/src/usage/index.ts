import { UsageController } from './usage.controller.js';

export { hasCredits, settleMonitoring, stateOf } from './monitoring.js';
export { creditsOf, Usage } from './usage.js';

export const usage = { controllers: [UsageController] };
