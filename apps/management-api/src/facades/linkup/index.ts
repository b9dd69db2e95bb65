import { LinkupFeedController } from './feed.controller.js';
import { LinkupWebhooksController } from './webhooks.controller.js';

export { LinkupWebhooks } from './webhooks.js';
export const linkupFacade = { controllers: [LinkupWebhooksController, LinkupFeedController] };
