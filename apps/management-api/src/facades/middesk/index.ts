import { MiddeskController } from './webhooks.controller.js';

export { OidcKeys } from './oidc-keys.js';
export { MiddeskWebhooks } from './webhooks.js';
export const middeskFacade = { controllers: [MiddeskController] };
