import { AdaWebhooksController } from './ada/webhooks.controller.js';
import { LinkupFeedController } from './linkup/feed.controller.js';
import { LinkupWebhooksController } from './linkup/webhooks.controller.js';
import { MiddeskController } from './middesk/webhooks.controller.js';

export { limitAdaRequests } from './ada/rate-limits.js';
export { LinkupWebhooks } from './linkup/webhooks.js';
export { OidcKeys } from './middesk/oidc-keys.js';
export { MiddeskWebhooks } from './middesk/webhooks.js';

/** Other products' APIs over our own features. */
export const facades = {
  controllers: [AdaWebhooksController, LinkupWebhooksController, LinkupFeedController, MiddeskController],
};
