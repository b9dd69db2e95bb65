import { EndpointVersionsController } from './versions.controller.js';

export { EndpointVersions } from './endpoint-versions.js';

export const versions = { controllers: [EndpointVersionsController] };
