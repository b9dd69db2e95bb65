import { canonicalJson } from './canonical-json.js';
import { parseCheckpoint, Verifiers, type Checkpoint } from './checkpoint.js';
import { Frontier, leafHash } from './merkle-tree.js';
import type { SavedHead } from './saved-head.js';

/**
 * Checks a tenant's audit entries, one after the other, against what is signed and against a head saved before.
 *
 *   reading --(an entry that is not as it was signed)--> broken at its sequence
 *      |--(the end: fewer entries than signed or saved)--> broken at the first that is missing
 *      |--(the end, and the root is the signed one)--> sound
 *
 * Each entry comes with a signature over the tree it was the last of. So whoever can write to the database but lacks the
 * key cannot change an entry unseen, and where it began is known exactly. What signatures cannot show is that entries
 * were cut off and the tree went on from there, signed as ever, or that an older, shorter tree was put back: that takes
 * a head saved elsewhere, whose marks name the first entry that is another one now.
 */
export interface AuditRow {
  sequence: number;
  /** The entry as canonical JSON: what was hashed. */
  canonical: string;
  /** In hexadecimal. */
  leaf_hash: string;
  /** In base64: key id and signature over the head of the tree that ends with this entry. */
  signature: string;
}

export interface SignedTree {
  checkpoint: string;
  public_keys: string[];
}

export type TreeFlaw =
  /** `sequence` is the first entry that is not as it should be; null when it is the checkpoint itself. */
  { sequence: number | null; code: FlawCode; message: string };

type FlawCode =
  | 'bad_checkpoint'
  | 'not_signed'
  | 'unknown_key'
  | 'other_tree'
  | 'missing'
  | 'out_of_order'
  | 'altered'
  | 'not_canonical'
  | 'rewritten';

export class TreeCheck {
  readonly checkpoint: Checkpoint | null;
  private readonly verifiers: Verifiers | undefined;
  private readonly tree = new Frontier();
  private readonly leaves: Buffer[] = [];
  private found: TreeFlaw | null = null;

  /** @param head what was saved before; its keys are trusted, and no others for the checkpoint. */
  constructor(
    private readonly signed: SignedTree,
    private readonly head: SavedHead | null,
  ) {
    this.checkpoint = parseCheckpoint(signed.checkpoint);
    this.verifiers = this.trusted();
  }

  /** How many entries were found good so far. */
  get verified(): number {
    return this.tree.size;
  }

  /** The first thing that is wrong; more entries change nothing about it. */
  get flaw(): TreeFlaw | null {
    return this.found;
  }

  /** @param row null for one that cannot be read */
  add(row: AuditRow | null): void {
    // A checkpoint that says nothing still leaves each entry's own signature to tell where it began.
    if (this.found !== null && this.found.sequence !== null) return;
    const sequence = this.tree.size;
    const fail = (code: FlawCode, message: string): void => this.stopAt(sequence, code, message);
    if (row === null) return fail('altered', 'cannot be read');
    if (row.sequence > sequence) return fail('missing', `is missing: ${row.sequence} comes next`);
    if (row.sequence < sequence)
      return fail('out_of_order', `is out of order: there is another ${row.sequence}`);
    const leaf = leafHash(Buffer.from(row.canonical));
    if (leaf.toString('hex') !== row.leaf_hash)
      return fail('altered', 'does not have the hash it was stored with');
    if (!isCanonical(row.canonical)) return fail('not_canonical', 'is not canonical JSON');
    const before = this.head?.markOf(sequence);
    if (before !== undefined && !leaf.subarray(0, before.length).equals(before)) {
      return fail('rewritten', 'is another entry than when the head was saved');
    }
    const grown = new Frontier(this.tree.size, [...this.tree.peaks]);
    grown.append(leaf);
    const origin = this.checkpoint?.origin ?? '';
    const signature = Buffer.from(row.signature, 'base64');
    if (
      this.verifiers &&
      !this.verifiers.accept({ origin, size: grown.size, root: grown.root() }, [signature])
    ) {
      return fail('altered', 'is not what was signed');
    }
    if (this.head?.size === grown.size && !this.head.root.equals(grown.root())) {
      return fail('rewritten', 'or one before it is another than when the head was saved');
    }
    this.tree.append(leaf);
    this.leaves.push(leaf);
  }

  /** Call it after the last entry. Null: all is as it was signed. */
  finish(): TreeFlaw | null {
    const { checkpoint, head, tree } = this;
    if (this.found?.sequence != null || checkpoint === null) return this.found;
    if (head !== null && tree.size < head.size) {
      this.stopAt(tree.size, 'missing', `is missing: ${head.size} were there`);
    }
    if (this.found !== null) return this.found;
    if (tree.size < checkpoint.size) {
      this.stopAt(tree.size, 'missing', `is missing: the checkpoint is over ${checkpoint.size}`);
    } else if (tree.size > checkpoint.size) {
      this.stopAt(checkpoint.size, 'not_signed', 'is beyond what the checkpoint is over');
    } else if (!tree.root().equals(checkpoint.root)) {
      // Its entries are all as signed one by one, and it is still another tree: the key has signed two.
      this.stopAt(null, 'other_tree', 'is over other entries');
    }
    return this.found;
  }

  /** What to save, so that a later check can tell whether any of it has changed. Only of a tree without a flaw. */
  headToSave(): { checkpoint: string; public_keys: string[]; leaves: Buffer[] } {
    return { ...this.signed, leaves: this.leaves };
  }

  /** The keys entries may be signed by; the checkpoint is looked at on the way. */
  private trusted(): Verifiers | undefined {
    const { checkpoint, head, signed } = this;
    const fail = (code: FlawCode, message: string): undefined => void this.stopAt(null, code, message);
    if (checkpoint === null) return fail('bad_checkpoint', 'is not a checkpoint');
    const { origin, signatures } = checkpoint;
    if (head !== null && head.origin !== origin) {
      return fail('other_tree', `is of ${origin}, and the saved head of ${head.origin}`);
    }
    try {
      const pinned = new Verifiers(origin, head?.public_keys ?? signed.public_keys);
      const known = new Verifiers(origin, [...signed.public_keys, ...(head?.public_keys ?? [])]);
      if (!pinned.accept(checkpoint, signatures)) {
        if (known.accept(checkpoint, signatures))
          fail('unknown_key', 'is signed by a key the saved head does not name');
        else fail('not_signed', 'has no valid signature');
      }
      return known;
    } catch (error) {
      return fail('unknown_key', (error as Error).message);
    }
  }

  private stopAt(sequence: number | null, code: FlawCode, message: string): void {
    this.found = { sequence, code, message };
  }
}

function isCanonical(text: string): boolean {
  try {
    return canonicalJson(JSON.parse(text)) === text;
  } catch {
    return false;
  }
}
