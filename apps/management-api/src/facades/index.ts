export { limitAdaRequests } from './ada/rate-limits.js';
import { AdaWebhooksController } from './ada/webhooks.controller.js';
import { MiddeskController } from './middesk/webhooks.controller.js';

/** Other products' APIs over our own features. */
export const facades = { controllers: [AdaWebhooksController, MiddeskController] };
