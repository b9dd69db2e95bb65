export { endpointCredentialContext, endpointSecretContext } from './endpoint-secret.js';
export { VaultError, type VaultErrorCode } from './errors.js';
export { Vault, parseKeks, type KeyEncryptionKey, type SealContext } from './vault.js';
