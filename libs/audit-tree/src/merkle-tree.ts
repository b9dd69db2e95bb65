import { hash } from 'node:crypto';

/**
 * The Merkle tree of RFC 9162, section 2.1: leaves and inner nodes are hashed with different first bytes, and a tree of n
 * leaves splits at the greatest power of two below n.
 *
 * Complete subtrees never change once they are there, so they are what is stored: `level` 0 are the leaves, and the node
 * (level, index) covers the leaves from index * 2^level on. Any other subtree is a fold of at most 53 of them.
 */
export interface NodeRef {
  level: number;
  index: number;
}

export interface TreeNode extends NodeRef {
  hash: Buffer;
}

export const HASH_BYTES = 32;

export function leafHash(leaf: Uint8Array): Buffer {
  return sha256(Buffer.of(0), leaf);
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256(Buffer.of(1), left, right);
}

/** The root over complete subtrees that stand side by side, the largest first; of none it is the hash of nothing. */
export function foldSubtrees(hashes: Buffer[]): Buffer {
  if (hashes.length === 0) return sha256();
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** The complete subtrees that make up the leaves from `start` up to `end`, where `start` is where a subtree begins. */
export function subtreesOf(start: number, end: number): NodeRef[] {
  const refs: NodeRef[] = [];
  for (let at = start; at < end;) {
    const level = Math.floor(Math.log2(end - at));
    refs.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return refs;
}

/** A tree that grows leaf by leaf and keeps only the roots of its complete subtrees, the largest first. */
export class Frontier {
  constructor(
    public size = 0,
    readonly peaks: Buffer[] = [],
  ) {
    if (peaks.length !== subtreesOf(0, size).length) throw new Error('the frontier does not fit its size');
  }

  /** Answers the complete subtrees that the leaf finishes, itself first. */
  append(leaf: Buffer): TreeNode[] {
    const finished: TreeNode[] = [{ level: 0, index: this.size, hash: leaf }];
    let index = this.size;
    let node = leaf;
    for (let level = 1; index % 2 === 1; level++) {
      node = nodeHash(this.peaks.pop() as Buffer, node);
      index = (index - 1) / 2;
      finished.push({ level, index, hash: node });
    }
    this.peaks.push(node);
    this.size += 1;
    return finished;
  }

  root(): Buffer {
    return foldSubtrees(this.peaks);
  }
}

function sha256(...parts: Uint8Array[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer');
}
