export { USER_AGENT, customHeaders } from './headers.js';
export type { Rendered, WireEndpoint, WireMessage } from './profile.js';
export { render } from './render.js';
export {
  newSigningSecret,
  publicKeyOf,
  secretKindsOf,
  signingKey,
  type SigningSecret,
  versionOf,
} from './signing-key.js';
