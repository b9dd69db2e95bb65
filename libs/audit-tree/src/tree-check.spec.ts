import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type AuditRow,
  canonicalJson,
  checkpointText,
  Frontier,
  headFile,
  type HeadFile,
  leafHash,
  originOf,
  SavedHead,
  SigningKey,
  type SignedTree,
  TreeCheck,
  type TreeFlaw,
} from './index.js';

const key = new SigningKey(Buffer.alloc(32, 7));
const origin = originOf('ten_1');

/** A log of entries, as it is signed. */
function logOf(texts: string[], signing = key, of = origin): { signed: SignedTree; rows: AuditRow[] } {
  const tree = new Frontier();
  const rows = texts.map((canonical, sequence) => {
    const leaf = leafHash(Buffer.from(canonical));
    tree.append(leaf);
    const head = { origin: of, size: tree.size, root: tree.root() };
    const signature = signing.sign(head).toString('base64');
    return { sequence, canonical, leaf_hash: leaf.toString('hex'), signature };
  });
  const head = { origin: of, size: tree.size, root: tree.root() };
  const checkpoint = checkpointText(head, [signing.sign(head)]);
  return { signed: { checkpoint, public_keys: [signing.verifierFor(of)] }, rows };
}

function flawOf(
  signed: SignedTree,
  rows: (AuditRow | null)[],
  head: HeadFile | null = null,
): TreeFlaw | null {
  const check = new TreeCheck(signed, head && new SavedHead(head));
  for (const row of rows) check.add(row);
  return check.finish();
}

function savedOf({ signed, rows }: { signed: SignedTree; rows: AuditRow[] }): HeadFile {
  const check = new TreeCheck(signed, null);
  for (const row of rows) check.add(row);
  expect(check.finish()).toBeNull();
  return headFile(check.headToSave());
}

const texts = Array.from({ length: 11 }, (_, n) => canonicalJson({ n }));
const { signed, rows } = logOf(texts);

describe('the check of a tree', () => {
  it('finds nothing in a sound one, whatever its size and whichever older head it is held against', () => {
    for (let size = 0; size <= texts.length; size++) {
      const now = logOf(texts.slice(0, size));
      expect(flawOf(now.signed, now.rows)).toBeNull();
      for (let older = 0; older <= size; older++) {
        expect(flawOf(now.signed, now.rows, savedOf(logOf(texts.slice(0, older))))).toBeNull();
      }
    }
  });

  it('names the first entry that differs from what was saved, in a tree that is signed as well', () => {
    fc.assert(
      fc.property(fc.nat(10), fc.integer({ min: 1, max: 11 }), (place, size) => {
        const forked = logOf(texts.map((text, n) => (n >= place ? canonicalJson({ other: n }) : text)));
        const flaw = flawOf(forked.signed, forked.rows, savedOf(logOf(texts.slice(0, size))));
        expect(flaw).toEqual(
          place < size ? expect.objectContaining({ sequence: place, code: 'rewritten' }) : null,
        );
      }),
    );
  });

  const fork = logOf(['{}', ...texts.slice(1)]);
  const stranger = logOf(texts, new SigningKey(Buffer.alloc(32, 8)));
  const another = logOf(texts, key, originOf('ten_2'));
  const text = '{"n": 3}';
  const spaced = logOf([...texts.slice(0, 3), text, ...texts.slice(4)]);

  it.each<[string, () => TreeFlaw | null, number | null, string]>([
    ['one that cannot be read', () => flawOf(signed, [...rows.slice(0, 4), null]), 4, 'altered'],
    ['one twice', () => flawOf(signed, [...rows.slice(0, 4), ...rows.slice(3)]), 4, 'out_of_order'],
    ['one left out', () => flawOf(signed, [...rows.slice(0, 4), ...rows.slice(5)]), 4, 'missing'],
    ['the last ones left out', () => flawOf(signed, rows.slice(0, 9)), 9, 'missing'],
    ['none', () => flawOf(signed, []), 0, 'missing'],
    ['one with another spelling', () => flawOf(spaced.signed, spaced.rows), 3, 'not_canonical'],
    [
      'more than the checkpoint is over',
      () => flawOf(logOf(texts.slice(0, 8)).signed, rows),
      8,
      'not_signed',
    ],
    ['a fork, under the checkpoint of the other', () => flawOf(signed, fork.rows), null, 'other_tree'],
    ['no checkpoint', () => flawOf({ ...signed, checkpoint: 'x' }, rows), null, 'bad_checkpoint'],
    [
      'a checkpoint nobody signed',
      () => flawOf({ ...signed, checkpoint: unsigned(signed) }, rows),
      null,
      'not_signed',
    ],
    ['a key that is none', () => flawOf({ ...signed, public_keys: ['x'] }, rows), null, 'unknown_key'],
    [
      "another's key",
      () => flawOf(stranger.signed, stranger.rows, savedOf({ signed, rows })),
      null,
      'unknown_key',
    ],
    [
      "another tenant's tree",
      () => flawOf(another.signed, another.rows, savedOf({ signed, rows })),
      null,
      'other_tree',
    ],
  ])('finds %s', (_, flaw, sequence, code) => {
    expect(flaw()).toMatchObject({ sequence, code });
  });

  it('does not take a file for a saved head that holds none', () => {
    expect(() => new SavedHead({ ...savedOf({ signed, rows }), checkpoint: '' })).toThrow('no checkpoint');
  });
});

function unsigned({ checkpoint }: SignedTree): string {
  const [, line = ''] = checkpoint.split('\n\n');
  const bytes = Buffer.from(line.trim().split(' ')[2] ?? '', 'base64');
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
  return checkpoint.replace(/ [^ ]+\n$/, ` ${bytes.toString('base64')}\n`);
}
