/**
 * The records of one partition that were taken and are not done, in any order of being done. It answers what to
 * commit: `lowWatermark`, below which everything is done, and `metadata`, a bitmap of what is done above it; after a
 * restart `resume` reads both, so that work done out of order is not done again.
 *
 * Offsets are added in rising order, gaps allowed: an offset never added counts as done, there is nothing to do for
 * it. A ring of one size and bytes per offset makes each call cheap; the ring grows when the window is fuller than
 * ever. Work done further above the watermark than the bitmap reaches is remembered here, but done again after a
 * restart: at least once, never lost.
 */
const MIN_SLOTS = 256;
/** 2,000 bits are 250 bytes, 336 characters of base64. */
const BITMAP_BITS = 2_000;
/** Slot values: bytes + 1 while a record is held, so that 0 means nothing to do. */
const DONE = 0;

export class PartitionWindow {
  #low: number;
  /** The first offset not seen yet: add() goes on from here. */
  #next: number;
  #slots = new Float64Array(MIN_SLOTS);
  #records = 0;
  #bytes = 0;
  /** Done before a restart, above the watermark of then; empty once the window is past it. */
  #doneBefore: Set<number>;

  /** `next` is the first offset not done. */
  constructor(next: number, doneBefore: Iterable<number> = []) {
    this.#low = next;
    this.#next = next;
    this.#doneBefore = new Set(doneBefore);
  }

  /** Goes on where a commit left off. Unreadable metadata only means that finished work is repeated. */
  static resume(committed: number | null, metadata: string): PartitionWindow {
    const next = committed ?? 0;
    const done: number[] = [];
    const bitmap = Buffer.from(metadata, 'base64');
    for (let bit = 0; bit < bitmap.length * 8; bit++) {
      if (((bitmap[bit >> 3] as number) & (1 << (bit & 7))) !== 0) done.push(next + bit);
    }
    return new PartitionWindow(next, done);
  }

  /** Nothing is to be done for this offset: it is done, here or before a restart, or it is held already. */
  has(offset: number): boolean {
    return offset < this.#next || this.#doneBefore.has(offset);
  }

  /** Takes a record; false when `has` it already, and the record is to be skipped. */
  add(offset: number, bytes: number): boolean {
    if (offset < this.#next) return false;
    this.#reserve(offset);
    const isNew = !this.#doneBefore.delete(offset);
    this.#next = offset + 1;
    if (isNew) {
      this.#slots[offset % this.#slots.length] = bytes + 1;
      this.#records++;
      this.#bytes += bytes;
    }
    this.#advance();
    return isNew;
  }

  /** The record needs no more work. Repeats, and offsets never added, change nothing. */
  done(offset: number): void {
    if (offset < this.#low || offset >= this.#next) return;
    const slot = offset % this.#slots.length;
    const held = this.#slots[slot] as number;
    if (held === DONE) return;
    this.#slots[slot] = DONE;
    this.#records--;
    this.#bytes -= held - 1;
    this.#advance();
  }

  /** What to commit: everything below it is done. */
  get lowWatermark(): number {
    return this.#low;
  }

  /** Records taken and not done. */
  get records(): number {
    return this.#records;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What is done above the watermark, for a commit at `lowWatermark`: bit i stands for offset lowWatermark + i. */
  metadata(): string {
    const end = Math.min(BITMAP_BITS, this.#next - this.#low);
    const bitmap = Buffer.alloc(Math.ceil(BITMAP_BITS / 8));
    let used = 0;
    const mark = (bit: number): void => {
      bitmap[bit >> 3] = (bitmap[bit >> 3] as number) | (1 << (bit & 7));
      used = Math.max(used, (bit >> 3) + 1);
    };
    for (let bit = 0; bit < end; bit++) {
      if (this.#slots[(this.#low + bit) % this.#slots.length] === DONE) mark(bit);
    }
    // Done before the restart and not met again yet: a second restart must not forget it.
    for (const offset of this.#doneBefore) {
      const bit = offset - this.#low;
      if (bit >= 0 && bit < BITMAP_BITS) mark(bit);
    }
    return bitmap.toString('base64', 0, used);
  }

  #advance(): void {
    while (this.#low < this.#next && this.#slots[this.#low % this.#slots.length] === DONE) this.#low++;
    if (this.#low === this.#next) this.#passKnown();
  }

  /** With nothing held, what was done before a restart lets the watermark go on without meeting the records again. */
  #passKnown(): void {
    if (this.#doneBefore.size === 0) return;
    while (this.#doneBefore.delete(this.#next)) this.#next++;
    this.#low = this.#next;
  }

  /** Makes room for the offsets from the watermark to this one; new slots are empty, so gaps count as done. */
  #reserve(offset: number): void {
    if (this.#records === 0) {
      // Nothing is held: a jump over any distance needs no room.
      for (const known of this.#doneBefore) if (known < offset) this.#doneBefore.delete(known);
      this.#low = offset;
      return;
    }
    const needed = offset - this.#low + 1;
    if (needed <= this.#slots.length) return;
    const old = this.#slots;
    let size = old.length;
    while (size < needed) size *= 2;
    this.#slots = new Float64Array(size);
    for (let held = this.#low; held < this.#next; held++) {
      this.#slots[held % size] = old[held % old.length] as number;
    }
  }
}
