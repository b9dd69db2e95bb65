import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import { X509CertificateGenerator } from '@peculiar/x509';
import { calculateJwkThumbprint } from 'jose';

/** An RSA key with a certificate it signed itself: some token servers know a client by that and nothing else. */
export interface CertifiedKey {
  kid: string;
  /** With `kid` and `x5c`. */
  jwk: Record<string, unknown>;
}

const ALGORITHM = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2_048,
};
/** Servers whose clock is behind ours would not take a certificate that begins now. */
const SKEW_MS = 86_400_000;

export async function newCertifiedKey(atMs: number, lastsMs: number): Promise<CertifiedKey> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Posthaste webhooks',
    notBefore: new Date(atMs - SKEW_MS),
    notAfter: new Date(atMs + lastsMs),
    signingAlgorithm: ALGORITHM,
    keys,
  });
  const jwk = KeyObject.from(keys.privateKey).export({ format: 'jwk' });
  const kid = await calculateJwkThumbprint(jwk);
  return { kid, jwk: { ...jwk, kid, x5c: [Buffer.from(certificate.rawData).toString('base64')] } };
}
