import { parseCheckpoint } from './checkpoint.js';

/**
 * A head as somebody keeps it outside of our reach: the signed checkpoint, the keys that were trusted then, and a mark of
 * each entry (the first four bytes of its hash). The root proves; the marks only tell where it went wrong.
 */
export class SavedHead {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
  private readonly marks: Buffer;

  /** Throws at a file that is none. */
  constructor(private readonly file: HeadFile) {
    const checkpoint = parseCheckpoint(file.checkpoint);
    if (checkpoint === null) throw new TypeError('it holds no checkpoint');
    ({ origin: this.origin, size: this.size, root: this.root } = checkpoint);
    this.marks = Buffer.from(file.marks, 'base64');
  }

  get public_keys(): string[] {
    return this.file.public_keys;
  }

  /** How the entry's hash began; undefined where none is kept. */
  markOf(sequence: number): Buffer | undefined {
    const mark = this.marks.subarray(sequence * MARK_BYTES, (sequence + 1) * MARK_BYTES);
    return sequence < this.size && mark.length === MARK_BYTES ? mark : undefined;
  }
}

/** As JSON. */
export interface HeadFile {
  checkpoint: string;
  public_keys: string[];
  /** In base64. */
  marks: string;
}

const MARK_BYTES = 4;

export function headFile({
  checkpoint,
  public_keys,
  leaves,
}: {
  checkpoint: string;
  public_keys: string[];
  leaves: Buffer[];
}): HeadFile {
  const marks = Buffer.concat(leaves.map((leaf) => leaf.subarray(0, MARK_BYTES))).toString('base64');
  return { checkpoint, public_keys, marks };
}
