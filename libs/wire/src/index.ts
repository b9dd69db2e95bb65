export { isAcknowledged } from './acknowledged.js';
export { USER_AGENT, customHeaders } from './headers.js';
export type { Rendered, WireEndpoint, WireMessage } from './profile.js';
export { linkupEvent } from './profiles/linkup.js';
export { render } from './render.js';
export { newSigningSecret, publicKeyOf, secretKindsOf, signingKey, versionOf } from './signing-key.js';
