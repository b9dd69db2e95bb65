export { VaultError, type VaultErrorCode } from './errors.js';
export { Vault, parseKeks, type KeyEncryptionKey, type SealContext } from './vault.js';
