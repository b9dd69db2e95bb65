import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { HASH_BYTES } from './merkle-tree.js';

/**
 * Checkpoints: the head of a tree, signed. The text is C2SP's tlog-checkpoint in a signed-note, with Ed25519: three lines
 * (origin, size, root), an empty one, and a line for each signature. Anybody's tools for transparency logs can read it.
 *
 * The name of the key is the origin. So one private key serves every tenant, and a checkpoint of one is not one of another.
 */
export interface TreeHead {
  origin: string;
  size: number;
  root: Buffer;
}

export interface Checkpoint extends TreeHead {
  /** Of this origin's name: key id and signature. */
  signatures: Buffer[];
}

const ED25519 = 1;
const KEY_BYTES = 32;
const KEY_ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
/** What DER puts before the 32 bytes (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** The first line of a tenant's checkpoints. */
export function originOf(tenant: string): string {
  return `posthaste/${tenant}`;
}

/** A private key, from whose 32 bytes everything else follows. */
export class SigningKey {
  private readonly key: KeyObject;
  private readonly publicBytes: Buffer;

  constructor(seed: Buffer) {
    if (seed.length !== KEY_BYTES) throw new RangeError('a key to sign with is 32 bytes');
    this.key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
    this.publicBytes = createPublicKey(this.key)
      .export({ format: 'der', type: 'spki' })
      .subarray(SPKI.length);
  }

  /** Key id and signature, as the signature line of a note has them. */
  sign(head: TreeHead): Buffer {
    return Buffer.concat([keyIdOf(head.origin, this.publicBytes), sign(null, headText(head), this.key)]);
  }

  /** As C2SP writes keys that verify: `<name>+<key id>+<algorithm and key>`. */
  verifierFor(origin: string): string {
    const key = Buffer.concat([Buffer.of(ED25519), this.publicBytes]).toString('base64');
    return `${origin}+${keyIdOf(origin, this.publicBytes).toString('hex')}+${key}`;
  }
}

/** The keys that an origin's signatures are looked for under. */
export class Verifiers {
  private readonly keys = new Map<string, KeyObject>();

  /** Throws at what is no key to verify with, or one of another origin. */
  constructor(origin: string, texts: string[]) {
    for (const text of texts) {
      const [, name, id, encoded = ''] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
      const bytes = Buffer.from(encoded, 'base64');
      const key = bytes.subarray(1);
      const isOurs = name === origin && bytes[0] === ED25519 && key.length === KEY_BYTES;
      if (!isOurs || keyIdOf(origin, key).toString('hex') !== id) {
        throw new TypeError(`not a key that verifies ${origin}: ${text}`);
      }
      this.keys.set(id, createPublicKey({ key: Buffer.concat([SPKI, key]), format: 'der', type: 'spki' }));
    }
  }

  /** Whether one of the signatures over this head is by one of the keys. */
  accept(head: TreeHead, signatures: Buffer[]): boolean {
    const text = headText(head);
    return signatures.some((signature) => {
      const key = this.keys.get(signature.subarray(0, KEY_ID_BYTES).toString('hex'));
      return key !== undefined && verify(null, text, key, signature.subarray(KEY_ID_BYTES));
    });
  }
}

export function checkpointText(head: TreeHead, signatures: Buffer[]): string {
  const lines = signatures.map((signature) => `\u2014 ${head.origin} ${signature.toString('base64')}\n`);
  return `${headText(head).toString()}\n${lines.join('')}`;
}

/** Null for what is not a checkpoint. Says nothing yet about who signed it. */
export function parseCheckpoint(text: string): Checkpoint | null {
  const note =
    /^(?<origin>[^\n]+)\n(?<size>0|[1-9]\d{0,15})\n(?<root>[A-Za-z0-9+/]{43}=)\n\n(?<lines>(?:\u2014 [^\n]+\n)+)$/u;
  const { origin = '', size, root = '', lines = '' } = note.exec(text)?.groups ?? {};
  if (size === undefined) return null;
  const signatures = lines
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, name]) => name === origin)
    .map(([, , encoded = '']) => Buffer.from(encoded, 'base64'))
    .filter(({ length }) => length === KEY_ID_BYTES + SIGNATURE_BYTES);
  const bytes = Buffer.from(root, 'base64');
  return bytes.length === HASH_BYTES ? { origin, size: Number(size), root: bytes, signatures } : null;
}

function headText({ origin, size, root }: TreeHead): Buffer {
  return Buffer.from(`${origin}\n${size}\n${root.toString('base64')}\n`);
}

function keyIdOf(name: string, publicBytes: Buffer): Buffer {
  const text = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ED25519), publicBytes]);
  return hash('sha256', text, 'buffer').subarray(0, KEY_ID_BYTES);
}
