import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  consistencySpans,
  foldSubtrees,
  Frontier,
  inclusionSpans,
  leafHash,
  nodeHash,
  rootsOf,
  type TreeNode,
  verifyConsistency,
  verifyInclusion,
} from './index.js';

/** The definition of RFC 9162, 2.1.1, word for word. */
function naiveRoot(leaves: Buffer[]): Buffer {
  if (leaves.length === 0) return foldSubtrees([]);
  if (leaves.length === 1) return leafHash(leaves[0] as Buffer);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return nodeHash(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
}

/** 2.1.3.1. */
function naivePath(m: number, leaves: Buffer[]): Buffer[] {
  if (leaves.length <= 1) return [];
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return m < k
    ? [...naivePath(m, leaves.slice(0, k)), naiveRoot(leaves.slice(k))]
    : [...naivePath(m - k, leaves.slice(k)), naiveRoot(leaves.slice(0, k))];
}

/** 2.1.4.1. */
function naiveSubproof(m: number, leaves: Buffer[], isWhole: boolean): Buffer[] {
  if (m === leaves.length) return isWhole ? [] : [naiveRoot(leaves)];
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return m <= k
    ? [...naiveSubproof(m, leaves.slice(0, k), isWhole), naiveRoot(leaves.slice(k))]
    : [...naiveSubproof(m - k, leaves.slice(k), false), naiveRoot(leaves.slice(0, k))];
}

const MOST = 64;
const leaves = Array.from({ length: MOST }, (_, i) => Buffer.from(`leaf ${i}`));
const roots = Array.from({ length: MOST + 1 }, (_, size) => naiveRoot(leaves.slice(0, size)));
const stored = new Map<string, Buffer>();
const grown = new Frontier();
const grownRoots = [grown.root()];
for (const leaf of leaves) {
  for (const { level, index, hash } of grown.append(leafHash(leaf))) stored.set(`${level}/${index}`, hash);
  grownRoots.push(grown.root());
}
const nodeAt = ({ level, index }: Pick<TreeNode, 'level' | 'index'>): Buffer =>
  stored.get(`${level}/${index}`) as Buffer;
const inclusion = (index: number, size: number) => rootsOf(inclusionSpans(index, size), nodeAt);
const consistency = (from: number, to: number) => rootsOf(consistencySpans(from, to), nodeAt);
const flipped = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte, i) => (i === 7 ? byte ^ 1 : byte)));

describe('the tree', () => {
  // The reference tree of Certificate Transparency (RFC 6962's implementations), one leaf more each time.
  const inputs = [
    '',
    '00',
    '10',
    '2021',
    '3031',
    '40414243',
    '5051525354555657',
    '606162636465666768696a6b6c6d6e6f',
  ];
  const known = [
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ];

  it('has the known roots', () => {
    const tree = new Frontier();
    const found = [tree.root()];
    for (const input of inputs) {
      tree.append(leafHash(Buffer.from(input, 'hex')));
      found.push(tree.root());
    }
    expect(found.map((root) => root.toString('hex'))).toEqual(known);
  });

  it('grown leaf by leaf is the one of the definition, at every size, and goes on from a stored frontier', () => {
    expect(grownRoots).toEqual(roots);
    for (let size = 0; size < MOST; size++) {
      const before = new Frontier();
      for (const leaf of leaves.slice(0, size)) before.append(leafHash(leaf));
      const after = new Frontier(size, [...before.peaks]);
      after.append(leafHash(leaves[size] as Buffer));
      expect(after.root()).toEqual(roots[size + 1]);
    }
    expect(() => new Frontier(3, [roots[1] as Buffer])).toThrow('frontier');
  });
});

describe('a proof of inclusion', () => {
  it('is that of the definition and holds, for every leaf of every size, and for nothing else', () => {
    for (let size = 1; size <= MOST; size++) {
      const root = roots[size] as Buffer;
      for (let index = 0; index < size; index++) {
        const path = inclusion(index, size);
        expect(path).toEqual(naivePath(index, leaves.slice(0, size)));
        const proof = { leaf: leafHash(leaves[index] as Buffer), index, size, path };
        const holds = [
          verifyInclusion(proof, root),
          verifyInclusion({ ...proof, leaf: flipped(proof.leaf) }, root),
          verifyInclusion({ ...proof, index: index + 1 }, root),
          verifyInclusion({ ...proof, path: [...path, root] }, root),
          path.length > 0 && verifyInclusion({ ...proof, path: path.slice(1) }, root),
          path.length > 0 && verifyInclusion({ ...proof, path: path.slice(0, -1) }, root),
          ...path.map((_, at) =>
            verifyInclusion(
              { ...proof, path: path.map((step, i) => (i === at ? flipped(step) : step)) },
              root,
            ),
          ),
        ];
        expect(holds).toEqual([true, ...holds.slice(1).map(() => false)]);
      }
    }
  });

  it('does not exist beyond the tree', () => {
    expect(() => inclusionSpans(3, 3)).toThrow(RangeError);
    expect(
      verifyInclusion({ leaf: leafHash(Buffer.of()), index: 0, size: 0, path: [] }, roots[0] as Buffer),
    ).toBe(false);
  });
});

describe('a proof of consistency', () => {
  it('is that of the definition and holds, for every pair of sizes, and for nothing else', () => {
    for (let to = 0; to <= MOST; to++) {
      for (let from = 0; from <= to; from++) {
        const [older, newer] = [roots[from] as Buffer, roots[to] as Buffer];
        const path = consistency(from, to);
        if (from > 0) expect(path).toEqual(naiveSubproof(from, leaves.slice(0, to), true));
        const proof = { from, to, path };
        const holds = [
          verifyConsistency(proof, older, newer),
          verifyConsistency(proof, flipped(older), newer),
          verifyConsistency(proof, older, flipped(newer)),
          verifyConsistency({ ...proof, path: [...path, newer] }, older, newer),
          path.length > 0 && verifyConsistency({ ...proof, path: path.slice(1) }, older, newer),
          path.length > 0 && verifyConsistency({ ...proof, path: path.slice(0, -1) }, older, newer),
        ];
        const isFree = from === 0 && to > 0;
        const expected = [true, false, isFree, false, false, false];
        expect({ from, to, holds }).toEqual({ from, to, holds: expected });
      }
    }
  });

  it('does not hold between trees that differ anywhere in what they share', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MOST }), fc.nat(), fc.nat(), (to, a, b) => {
        const from = 1 + (a % to);
        const place = b % from;
        const forged = leaves.map((leaf, i) =>
          i === place ? flipped(Buffer.concat([leaf, Buffer.alloc(8)])) : leaf,
        );
        const forgedRoot = naiveRoot(forged.slice(0, from));
        expect(
          verifyConsistency({ from, to, path: consistency(from, to) }, forgedRoot, roots[to] as Buffer),
        ).toBe(false);
      }),
    );
  });
});
