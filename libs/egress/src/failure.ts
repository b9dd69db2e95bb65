import { type AttemptErrorClass, attemptErrors } from '@posthaste/contracts';

/** An error of the guard itself, thrown inside the connector, whose class is already known. */
export class EgressError extends Error {
  constructor(
    readonly attemptClass: AttemptErrorClass,
    readonly code: string,
  ) {
    super(`${attemptClass}: ${code}`);
    this.name = 'EgressError';
  }
}

export interface Failure {
  class: AttemptErrorClass;
  message: string;
}

const CONNECTION_CODES = /^(ECONN|EPIPE|EHOST|ENET|EADDR|ENOTCONN|ETIMEDOUT|UND_ERR_INFO)/;
const TLS_CODES =
  /^(ERR_TLS_|ERR_SSL_|CERT_|EPROTO|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_OSSL_)/;
const UNTRUSTED_CODES = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;
const PROTOCOL_CODES = /^(HPE_|HTTPParserError|UND_ERR_RES_|ERR_ASSERTION)/;

/**
 * The class of anything that can be thrown while a request is made. The message is for the customer whose endpoint it
 * is: a sentence and a code, never an address, which would describe our network.
 */
export function failureOf(error: unknown): Failure {
  const { code, message } = describe(error);
  const attemptClass = error instanceof EgressError ? error.attemptClass : classOf(code, message);
  return failure(attemptClass, code);
}

export function failure(attemptClass: AttemptErrorClass, code?: string): Failure {
  const sentence = attemptErrors[attemptClass];
  return { class: attemptClass, message: code === undefined ? sentence : `${sentence} (${code})` };
}

function classOf(code: string, message: string): AttemptErrorClass {
  if (TLS_CODES.test(code)) return tlsClassOf(code);
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || code === 'HPE_HEADER_OVERFLOW') return 'headers_overflow';
  if (code === 'UND_ERR_SOCKET') return /^bad (response|upgrade)/.test(message) ? 'protocol' : 'connection';
  if (CONNECTION_CODES.test(code)) return 'connection';
  // An assertion in the parser is a response it did not foresee, such as a status below 100.
  return PROTOCOL_CODES.test(code) ? 'protocol' : 'internal';
}

function tlsClassOf(code: string): AttemptErrorClass {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH') return 'tls_name_mismatch';
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return 'tls_certificate_expired';
  return UNTRUSTED_CODES.test(code) ? 'tls_certificate_untrusted' : 'tls_handshake';
}

function describe(error: unknown): { code: string; message: string } {
  // By shape, not by class: errors come from Node's internals and from undici's own hierarchy.
  const { code, message, name, errors } = (error ?? {}) as Partial<Record<string, unknown>>;
  // Several addresses were tried: the first one's reason stands for all.
  if (Array.isArray(errors) && errors.length > 0) return describe(errors[0]);
  const word = typeof code === 'string' && code !== '' ? code : typeof name === 'string' ? name : 'unknown';
  return { code: word, message: typeof message === 'string' ? message : '' };
}
