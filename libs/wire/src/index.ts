export { USER_AGENT, customHeaders } from './headers.js';
export { render, type Rendered, type WireEndpoint, type WireMessage } from './render.js';
export { signingKey, type SigningSecret } from './signature.js';
