export { publishOpenApi } from './openapi.js';
export { publishPool, registerPublish, type PublishDeps } from './publish-routes.js';
