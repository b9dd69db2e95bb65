export { publishOpenApi } from './openapi.js';
export { publishPool, registerPublish } from './publish-routes.js';
