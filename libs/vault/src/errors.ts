/**
 * | code          | meaning                                                             |
 * |---------------|---------------------------------------------------------------------|
 * | no_kek        | no key-encryption key was given                                     |
 * | bad_kek       | a key-encryption key is not id:base64 of 32 bytes, or its id is double |
 * | unknown_kek   | a data key is wrapped under a key we were not given                 |
 * | unknown_key   | a secret is sealed under a data key the tenant does not have        |
 * | bad_format    | the text is not one of ours                                         |
 * | not_authentic | altered, or sealed for another place                                |
 *
 * None is retryable: each needs an operator.
 */
export type VaultErrorCode =
  'no_kek' | 'bad_kek' | 'unknown_kek' | 'unknown_key' | 'bad_format' | 'not_authentic';

export class VaultError extends Error {
  constructor(
    readonly code: VaultErrorCode,
    message: string,
  ) {
    super(message);
    this.name = 'VaultError';
  }
}
