import { UsageController } from './usage.controller.js';

export { endWithoutCredits } from './credit-limit.js';
export { MONITORING_CHANNEL, stateOf, tellConnections } from './monitoring.js';
export { creditsOf, Usage } from './usage.js';

export const usage = { controllers: [UsageController] };
