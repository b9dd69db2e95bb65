import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { ClientCertificate, ClientCertificateInput, ClientCertificateView } from '@posthaste/contracts';
import { fieldProblem } from '../http/refusals.js';
import type { SealCredential } from './seal-credential.js';

// The certificate an endpoint's receiver is shown: as asked for, as stored, as shown.

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
const CHAIN_MAX = 10;

/** Sealed, once it is certain that the key fits and the certificate still lasts; or a Problem that says what does not. */
export function storedCertificate(
  input: ClientCertificateInput | null,
  current: ClientCertificate | null,
  { seal, nowMs }: { seal: SealCredential; nowMs: number },
): ClientCertificate | null {
  if (input === null) return null;
  const certificates = parsed(input.certificate);
  const chain = certificates.map(String).join('');
  if (input.private_key === undefined) {
    if (current?.chain === chain) return current;
    throw refusal('private_key', 'required', 'is required with a certificate');
  }
  const [leaf] = certificates as [X509Certificate];
  if (Date.parse(leaf.validTo) <= nowMs) throw refusal('certificate', 'expired', 'has expired');
  const key = privateKey(input.private_key);
  if (!leaf.checkPrivateKey(key)) {
    throw refusal('private_key', 'key_mismatch', 'is not the key of the first certificate');
  }
  return { chain, key: seal('client_certificate', String(key.export({ type: 'pkcs8', format: 'pem' }))) };
}

export function certificateView({ chain }: ClientCertificate): ClientCertificateView {
  const leaf = new X509Certificate(chain);
  return {
    certificate: chain,
    subject: leaf.subject.replaceAll('\n', ', '),
    expires_at: new Date(leaf.validTo).toISOString(),
  };
}

function parsed(pem: string): X509Certificate[] {
  const blocks = pem.match(PEM_BLOCK) ?? [];
  try {
    const certificates = blocks.map((block) => new X509Certificate(block));
    if (certificates.length > 0 && certificates.length <= CHAIN_MAX) return certificates;
  } catch {
    // As for none at all.
  }
  throw refusal('certificate', 'bad_certificate', `must be 1 to ${CHAIN_MAX} certificates in PEM`);
}

function privateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw refusal('private_key', 'bad_key', 'must be a private key in PEM without a passphrase');
  }
}

function refusal(field: string, code: string, message: string) {
  return fieldProblem([{ pointer: `/client_certificate/${field}`, code, message }]);
}
