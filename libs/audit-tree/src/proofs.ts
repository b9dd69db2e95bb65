import { foldSubtrees, nodeHash, type NodeRef, subtreesOf } from './merkle-tree.js';

/**
 * Inclusion and consistency proofs of RFC 9162, sections 2.1.3 and 2.1.4. What a proof consists of is found out first, as
 * ranges of leaves, so that whoever has the nodes can load all of them at once.
 */
export interface Span {
  start: number;
  end: number;
}

/** Whose roots prove that a leaf is in the tree of `size` leaves, in the order of the proof. */
export function inclusionSpans(leaf: number, size: number): Span[] {
  if (!(leaf >= 0 && leaf < size)) throw new RangeError(`leaf ${leaf} is not in a tree of ${size}`);
  const spans: Span[] = [];
  for (let [start, end] = [0, size]; end - start > 1;) {
    const middle = start + splitOf(end - start);
    if (leaf < middle) {
      spans.push({ start: middle, end });
      end = middle;
    } else {
      spans.push({ start, end: middle });
      start = middle;
    }
  }
  return spans.reverse();
}

/** Whose roots prove that the tree of `from` leaves is the beginning of the one of `to`; none when one is empty or both are one. */
export function consistencySpans(from: number, to: number): Span[] {
  if (!(from >= 0 && from <= to))
    throw new RangeError(`a tree of ${from} is not the beginning of one of ${to}`);
  if (from === 0 || from === to) return [];
  const spans: Span[] = [];
  let [start, end] = [0, to];
  while (from !== end) {
    const middle = start + splitOf(end - start);
    if (from <= middle) {
      spans.push({ start: middle, end });
      end = middle;
    } else {
      spans.push({ start, end: middle });
      start = middle;
    }
  }
  // The old tree itself is known to whoever asks; a part of it is not.
  if (start > 0) spans.push({ start, end });
  return spans.reverse();
}

/** The roots of the spans, by complete subtrees. */
export function rootsOf(spans: Span[], nodeAt: (ref: NodeRef) => Buffer): Buffer[] {
  return spans.map(({ start, end }) => foldSubtrees(subtreesOf(start, end).map(nodeAt)));
}

/** RFC 9162, 2.1.3.2. */
export function verifyInclusion(
  { leaf, index, size, path }: { leaf: Buffer; index: number; size: number; path: Buffer[] },
  root: Buffer,
): boolean {
  if (!(index >= 0 && index < size)) return false;
  let [fn, sn] = [index, size - 1];
  let node = leaf;
  for (const step of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      node = nodeHash(step, node);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      node = nodeHash(node, step);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && node.equals(root);
}

/** RFC 9162, 2.1.4.2. An empty tree is the beginning of every other. */
export function verifyConsistency(
  { from, to, path }: { from: number; to: number; path: Buffer[] },
  fromRoot: Buffer,
  toRoot: Buffer,
): boolean {
  if (!(from >= 0 && from <= to)) return false;
  if (from === to) return path.length === 0 && fromRoot.equals(toRoot);
  if (from === 0) return path.length === 0 && fromRoot.equals(foldSubtrees([]));
  const steps = Number.isInteger(Math.log2(from)) ? [fromRoot, ...path] : [...path];
  const first = steps.shift();
  if (first === undefined) return false;
  let [fn, sn] = [from - 1, to - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  let [older, newer] = [first, first];
  for (const step of steps) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      [older, newer] = [nodeHash(step, older), nodeHash(step, newer)];
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      newer = nodeHash(newer, step);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && older.equals(fromRoot) && newer.equals(toRoot);
}

const half = (n: number): number => Math.floor(n / 2);

/** The greatest power of two below n. */
function splitOf(n: number): number {
  return 2 ** (Math.ceil(Math.log2(n)) - 1);
}
