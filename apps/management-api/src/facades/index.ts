import { AdaWebhooksController } from './ada/webhooks.controller.js';
import { linkupFacade } from './linkup/index.js';

export { limitAdaRequests } from './ada/rate-limits.js';
export { LinkupWebhooks } from './linkup/index.js';

/** Other products' APIs over our own features. */
export const facades = { controllers: [AdaWebhooksController, ...linkupFacade.controllers] };
